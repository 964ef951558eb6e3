"""The model abstraction layer: hand it an input and a model version, get an output or the reason why not.

Everything here is synchronous and takes ``now`` (seconds, monotonic) as an argument. The only effects are batches
sent over a replica's link and calls of the waiters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from clipper.execution.cache import PredictionCache
from clipper.execution.flight import Flight, Waiter
from clipper.execution.model import ModelSettings, ServedModel
from clipper.execution.replica import Replica
from clipper.fragments import are_fragments, is_fragment
from clipper.metrics import Metrics
from clipper.rpc.wire import Outcomes
from clipper.types import ModelVersion

CACHED_INPUT_BYTES = 1 << 20
"""Larger inputs are neither cached nor shared in flight: to hash them would stall the event loop."""

LONGEST_TURN = 0.001
"""Seconds after which queries are sent even if the event loop's turn, which brings more of them, is not over; those
of a model with a fixed batch size still wait for a whole batch, or the turn's end."""

ALARM_SLACK = 0.001
"""Seconds by which an alarm may come early: the event loop's timers tick in milliseconds."""


class Alarms(Protocol):
    """Who calls the executor back. Both calls only note that it must be called, and return."""

    def wake(self) -> None:
        """``flush`` must be called once, soon: at the end of the event loop's turn."""
        ...

    def ring_at(self, when: float) -> None:
        """``ring`` must be called at ``when`` (seconds, monotonic), or later."""
        ...


class Executor:
    """Cache, queues and replicas of every model version known to this frontend."""

    def __init__(self, cache: PredictionCache, queue_limit: int, metrics: Metrics, alarms: Alarms) -> None:
        self._cache = cache
        self._caches = cache.enabled
        self._queue_limit = queue_limit
        self._metrics = metrics
        self._alarms = alarms
        self._ring_at = float("inf")
        self._models: dict[ModelVersion, ServedModel] = {}
        self._unflushed: dict[ServedModel, None] = {}
        self._flush_by = 0.0
        self._watched: dict[ServedModel, None] = {}

    # -- queries ---------------------------------------------------------------------------------------------------

    def submit(
        self, version: ModelVersion, data: bytes, deadline: float, waiter: Waiter, now: float, request_id: str = ""
    ) -> Flight | None:
        """Asks for one output. The waiter hears of it exactly once, maybe before this returns (then None).

        ``request_id`` goes to the container, unless somebody else has asked for the same output before.
        """
        model = self._models.get(version)
        if model is None or model.settings is None:
            waiter.failure(version, "no_replica", f"no container of {version} has ever connected")
            return None
        shared = self._caches and len(data) <= CACHED_INPUT_BYTES
        if shared:
            cached = self._cache.fetch((model.registration, data))
            if cached is not None:
                model.metrics.hits += 1
                waiter.output(version, cached)
                return None
            flight = model.flights.get(data)
            if flight is not None and flight.deadline > now:
                model.metrics.misses += 1
                flight.join(waiter, deadline)
                return flight
        model.metrics.misses += 1
        flight = Flight(version, data, deadline, now, [waiter], request_id)
        if not model.admit(flight, now):
            return None
        if shared:
            model.share(flight)
        if not self._unflushed:
            self._alarms.wake()
            self._flush_by = now + LONGEST_TURN
        self._unflushed[model] = None
        if (now >= self._flush_by and model.fills_a_batch()) or model.expects_no_more():
            self.flush(now)
        return flight

    def forsake(self, flight: Flight, waiter: Waiter) -> None:
        """``waiter`` wants to hear no more; a query that nobody waits for is not worked on."""
        model = self._models.get(flight.model)
        if waiter in flight.waiters:
            flight.waiters.remove(waiter)
        if model is not None and not flight.waiters:
            model.forsake(flight)

    # -- replicas --------------------------------------------------------------------------------------------------

    def expected_input_type(self, version: ModelVersion) -> str | None:
        """What the registry says; None for a version that is not registered (yet)."""
        model = self._models.get(version)
        return model.settings.input_type if model is not None and model.settings is not None else None

    def replica_joined(self, version: ModelVersion, replica: Replica, now: float) -> None:
        """A container of ``version`` is ready; batches go to it from now on."""
        self._model(version).join(replica, now)

    def replica_draining(self, replica: Replica) -> None:
        """No more batches for this one; those it has will be answered."""
        replica.draining = True

    def replica_left(self, version: ModelVersion, replica: Replica, now: float) -> None:
        """Its connection is gone: what it had in flight goes to the others, as far as there is time and another."""
        model = self._models.get(version)
        if model is None or replica not in model.replicas:
            return
        model.lose(replica, now)
        if not model.replicas and model.settings is None:
            self._forget(version)

    def batch_answered(
        self,
        version: ModelVersion,
        replica: Replica,
        batch_id: int,
        outcomes: Outcomes,
        now: float,
        worked: float = 0.0,
    ) -> bool:
        """Outcomes of one batch, in the order of its queries; False if they don't fit a batch in flight.

        ``worked`` is what the container says it took, in seconds; 0 if it does not say.
        """
        texts, errors = outcomes
        model = self._models.get(version)
        batch = replica.outstanding.get(batch_id)
        if model is None or batch is None or len(batch.flights) != len(texts):
            return False
        flights = model.take_back(replica, batch_id, now, worked)
        sound = not errors and are_fragments(texts)
        for place, (flight, text) in enumerate(zip(flights, texts, strict=True)):
            if not sound and (place in errors or not is_fragment(text)):
                model.fail_one(flight, text, place in errors)
                continue
            if flight.shared:
                self._cache.put((model.registration, flight.input), text)
            flight.land(text)
        return True

    # -- the registry ----------------------------------------------------------------------------------------------

    def configure(self, models: Mapping[ModelVersion, ModelSettings], now: float) -> None:
        """Follows the registry: versions that went away, or came back as others, lose all that was theirs."""
        for version, model in list(self._models.items()):
            if model.settings is not None and _is_another(model.settings, models.get(version)):
                self._drop(model)
        for version, settings in models.items():
            model = self._model(version)
            if model.settings != settings:
                model.settings = settings
                self._reconfigure(model, settings, now)

    def _reconfigure(self, model: ServedModel, settings: ModelSettings, now: float) -> None:
        for replica in list(model.replicas):
            if replica.input_type == settings.input_type:
                model.tune(replica)
            else:
                replica.link.close(f"{model.version} takes {settings.input_type}, it {replica.input_type}")
        model.dispatch(now)

    def _drop(self, model: ServedModel) -> None:
        if model.settings is not None:
            self._cache.forget(model.settings.registration)
        model.close(f"{model.version} was deleted")
        self._forget(model.version)

    def _forget(self, version: ModelVersion) -> None:
        model = self._models.pop(version)
        self._unflushed.pop(model, None)
        self._watched.pop(model, None)
        self._metrics.forget_model(*version)

    def _model(self, version: ModelVersion) -> ServedModel:
        model = self._models.get(version)
        if model is None:
            metrics = self._metrics.model(*version)
            model = ServedModel(version, self._queue_limit, metrics, lambda when: self._ring_for(version, when))
            self._models[version] = model
        return model

    # -- being called back -----------------------------------------------------------------------------------------

    def flush(self, now: float) -> None:
        """Sends what was submitted since the last time, in as few batches as possible."""
        models, self._unflushed = self._unflushed, {}
        for model in models:
            model.dispatch(now)

    def ring(self, now: float) -> None:
        """Attends to what had to wait for this time: batches that are overdue, batches that were held back.

        An alarm that an earlier one has overtaken still comes, to nothing: else it would set another, for ever.
        """
        if now < self._ring_at - ALARM_SLACK:
            return
        models, self._watched = self._watched, {}
        self._ring_at = float("inf")
        for model in models:
            model.ring(now)

    def _ring_for(self, version: ModelVersion, when: float) -> None:
        self._watched[self._models[version]] = None
        if when < self._ring_at:
            self._ring_at = when
            self._alarms.ring_at(when)


def _is_another(known: ModelSettings, registered: ModelSettings | None) -> bool:
    return registered is None or registered.registration != known.registration
