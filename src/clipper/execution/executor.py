"""The model abstraction layer: hand it an input and a model version, get an output or the reason why not.

Everything here is synchronous and takes ``now`` (seconds, monotonic) as an argument. The only effects are batches
sent over a replica's link and calls of the waiters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from clipper.execution.cache import PredictionCache
from clipper.execution.dispatch import assign
from clipper.execution.flight import MAX_TRIES, Flight, Waiter
from clipper.execution.model import ModelSettings, ModelState
from clipper.execution.replica import Replica
from clipper.fragments import is_fragment
from clipper.metrics import Metrics
from clipper.rpc.wire import Outcome
from clipper.types import ModelVersion


class Executor:
    """Cache, queues and replicas of every model version known to this frontend."""

    def __init__(self, cache: PredictionCache, queue_limit: int, metrics: Metrics, wake: Callable[[], None]) -> None:
        """``wake`` must arrange that ``flush`` is called once, soon: at the end of the event loop's turn."""
        self._cache = cache
        self._queue_limit = queue_limit
        self._metrics = metrics
        self._wake = wake
        self._models: dict[ModelVersion, ModelState] = {}
        self._unflushed: dict[ModelState, None] = {}

    # -- queries ---------------------------------------------------------------------------------------------------

    def submit(self, version: ModelVersion, data: bytes, deadline: float, waiter: Waiter, now: float) -> None:
        """Asks for one output. The waiter hears of it exactly once, maybe before this returns."""
        state = self._models.get(version)
        if state is None or state.settings is None:
            waiter.failure(version, "no_replica", f"no container of {version} has ever connected")
            return
        cached = self._cache.fetch((state.settings.registration, data)) if self._cache.enabled else None
        if cached is not None:
            state.metrics.hits += 1
            waiter.output(version, cached)
            return
        state.metrics.misses += 1
        flight = state.flights.get(data) if self._cache.enabled else None
        if flight is not None and flight.deadline > now:
            flight.join(waiter, deadline)
        else:
            self._take_off(state, Flight(data, deadline, now, waiter), now)

    def _take_off(self, state: ModelState, flight: Flight, now: float) -> None:
        self._fail(state, state.queue.expired(now), "deadline", "")
        refusal = self._refusal(state, flight, now)
        if refusal is not None:
            flight.fail(state.version, *refusal)
            return
        if self._cache.enabled:
            state.flights[flight.input] = flight
        state.queue.push(flight)
        if not self._unflushed:
            self._wake()
        self._unflushed[state] = None

    def _refusal(self, state: ModelState, flight: Flight, now: float) -> tuple[str, str] | None:
        if not state.replicas:
            return "no_replica", f"no container of {state.version} is connected"
        waiting = len(state.queue)
        if waiting >= self._queue_limit or not state.queue.has_room(flight):
            return "overload", f"{waiting} queries already wait for {state.version}"
        if waiting and now + state.predicted_wait() > flight.deadline:
            return "overload", f"{waiting} queries wait for {state.version}: this one would be answered too late"
        return None

    # -- replicas --------------------------------------------------------------------------------------------------

    def expected_input_type(self, version: ModelVersion) -> str | None:
        """What the registry says; None for a version that is not registered (yet)."""
        state = self._models.get(version)
        return state.settings.input_type if state is not None and state.settings is not None else None

    def replica_joined(self, version: ModelVersion, replica: Replica, now: float) -> None:
        """A container of ``version`` is ready; batches go to it from now on."""
        state = self._state(version)
        state.tune(replica)
        state.replicas.append(replica)
        state.measure()
        self._dispatch(state, now)

    def replica_draining(self, replica: Replica) -> None:
        """No more batches for this one; those it has will be answered."""
        replica.draining = True

    def replica_left(self, version: ModelVersion, replica: Replica, now: float) -> None:
        """Its connection is gone: what it had in flight goes to the others, as far as there is time and another."""
        state = self._models.get(version)
        if state is None or replica not in state.replicas:
            return
        state.replicas.remove(replica)
        state.measure()
        for position, batch in enumerate(replica.outstanding.values()):
            for flight in batch.flights:
                flight.tries += position == 0  # what it worked on; the next batch only waited in its socket
                self._retry(state, flight)
        replica.outstanding.clear()
        if state.replicas:
            self._dispatch(state, now)
        else:
            self._fail(state, state.queue.drain(), "no_replica", f"the last container of {version} is gone")
            if state.settings is None:
                self._forget(version)

    def _retry(self, state: ModelState, flight: Flight) -> None:
        if flight.tries >= MAX_TRIES:
            detail = f"{flight.tries} containers of {state.version} died while they worked on this query"
            self._fail(state, (flight,), "model_error", detail)
        else:
            state.metrics.redispatched += 1
            state.queue.push(flight)

    def batch_answered(
        self,
        version: ModelVersion,
        replica: Replica,
        batch_id: int,
        outcomes: list[Outcome],
        now: float,
        worked: float = 0.0,
    ) -> bool:
        """Outcomes of one batch, in the order of its queries; False if they don't fit a batch in flight.

        ``worked`` is what the container says it took, in seconds; 0 if it does not say.
        """
        state = self._models.get(version)
        batch = replica.outstanding.get(batch_id)
        if state is None or batch is None or len(batch.flights) != len(outcomes):
            return False
        flights, seconds = replica.answered(batch_id, now, worked)
        state.metrics.batch_done(len(flights), seconds)
        state.measure()
        self._dispatch(state, now)
        for flight, outcome in zip(flights, outcomes, strict=True):
            self._land(state, flight, outcome)
        return True

    def _land(self, state: ModelState, flight: Flight, outcome: Outcome) -> None:
        state.forget(flight)
        fragment = bytes(outcome.data)
        if not (outcome.ok and is_fragment(fragment)):
            state.metrics.errors += 1
            text = (
                "the container sent an output that is not JSON text"
                if outcome.ok
                else fragment.decode(errors="replace")
            )
            flight.fail(state.version, "model_error", text)
            return
        if self._cache.enabled and state.settings is not None:
            self._cache.put((state.settings.registration, flight.input), fragment)
        flight.land(state.version, fragment)

    # -- the registry ----------------------------------------------------------------------------------------------

    def configure(self, models: Mapping[ModelVersion, ModelSettings], now: float) -> None:
        """Follows the registry: versions that went away, or came back as others, lose all that was theirs."""
        for version, state in list(self._models.items()):
            if state.settings is not None and _is_another(state.settings, models.get(version)):
                self._drop(state)
        for version, settings in models.items():
            state = self._state(version)
            if state.settings != settings:
                state.settings = settings
                self._reconfigure(state, settings, now)

    def _reconfigure(self, state: ModelState, settings: ModelSettings, now: float) -> None:
        for replica in list(state.replicas):
            if replica.input_type == settings.input_type:
                state.tune(replica)
            else:
                replica.link.close(f"{state.version} takes {settings.input_type}, it {replica.input_type}")
        self._dispatch(state, now)

    def _drop(self, state: ModelState) -> None:
        if state.settings is not None:
            self._cache.forget(state.settings.registration)
        in_flight = [f for r in state.replicas for batch in r.outstanding.values() for f in batch.flights]
        detail = f"{state.version} was deleted"
        self._fail(state, [*state.queue.drain(), *in_flight], "no_model", detail)
        for replica in state.replicas:
            replica.outstanding.clear()
            replica.link.close(detail)
        self._forget(state.version)

    def _forget(self, version: ModelVersion) -> None:
        self._unflushed.pop(self._models.pop(version), None)
        self._metrics.forget_model(*version)

    # -- dispatch --------------------------------------------------------------------------------------------------

    def flush(self, now: float) -> None:
        """Sends what was submitted since the last time, in as few batches as possible."""
        states, self._unflushed = self._unflushed, {}
        for state in states:
            self._dispatch(state, now)

    def _dispatch(self, state: ModelState, now: float) -> None:
        late: list[Flight] = []
        for assignment in assign(state.queue, state.replicas, now):
            if assignment.flights:
                assignment.replica.send(assignment.flights, now)
                for flight in assignment.flights:
                    state.metrics.waited(now - flight.queued_at)
            late += assignment.late
        if late:
            self._fail(state, late, "overload", f"{state.version} has more queries than it can answer in time")

    def _fail(self, state: ModelState, flights: Iterable[Flight], reason: str, detail: str) -> None:
        for flight in flights:
            state.forget(flight)
            flight.fail(state.version, reason, detail)

    def _state(self, version: ModelVersion) -> ModelState:
        state = self._models.get(version)
        if state is None:
            state = self._models[version] = ModelState(version, self._metrics.model(*version))
        return state


def _is_another(known: ModelSettings, registered: ModelSettings | None) -> bool:
    return registered is None or registered.registration != known.registration
