"""One model version at work: its queue, its replicas, its flights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from clipper.execution.batching import make_sizer
from clipper.execution.delay import ArrivalRate, BatchDelay, Waiting, make_delay
from clipper.execution.dispatch import assign
from clipper.execution.flight import MAX_TRIES, Flight
from clipper.execution.hedging import HedgeBudget, next_overdue, overdue
from clipper.execution.outlook import Outlook, Pressure
from clipper.execution.queue import QUEUE_BYTES, DeadlineQueue
from clipper.execution.replica import Replica
from clipper.metrics import ModelMetrics
from clipper.types import ModelVersion

BATCH_SHARE = 0.9
"""Of the objective: the most a batch may take. How much it does take is decided by the time that its queries have
left when it is made: one that found another batch before its own goes into a smaller one."""

SHORT_SECONDS = 0.0005
"""A query that is worked on for less is not waited with for others."""

MARGIN_SHARE, LEAST_MARGIN = 0.1, 0.002
"""How long before the last moment a delayed batch is sent: a share of the objective, and seconds. Timers ring late,
and the way to the client takes time, too."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What the registry says of a model version; ``slo`` is the shortest of its applications, in seconds.

    ``batch_size`` -1: learned, the way that ``batching`` names. ``batch_delay_micros`` -1: learned.
    """

    registration: int
    input_type: str
    batch_size: int
    slo: float
    batching: str = "aimd"
    batch_delay_micros: int = 0


class ServedModel:
    """Gives the queries of one model version to its replicas, and their answers back.

    ``alarm(when)`` must arrange that ``ring`` is called at ``when`` (seconds, monotonic), or later.
    """

    __slots__ = (
        "_alarm",
        "_arrivals",
        "_batch",
        "_budget",
        "_delay",
        "_delay_margin",
        "_in_flight",
        "_outlook",
        "_pressure",
        "_queue_limit",
        "flights",
        "metrics",
        "queue",
        "replicas",
        "settings",
        "version",
    )

    def __init__(
        self, version: ModelVersion, queue_limit: int, metrics: ModelMetrics, alarm: Callable[[float], None]
    ) -> None:
        self.version = version
        self.settings: ModelSettings | None = None
        self.queue = DeadlineQueue()
        self.replicas: list[Replica] = []
        self.flights: dict[bytes, Flight] = {}
        self.metrics = metrics
        self._queue_limit = queue_limit
        self._alarm = alarm
        self._budget = HedgeBudget()
        self._in_flight = 0
        self._batch = 0  # the size of the last one
        self._outlook = Outlook(self.replicas)
        self._pressure = Pressure()
        self._delay: BatchDelay | None = None
        self._delay_margin = 0.0
        self._arrivals = ArrivalRate(0.0)
        metrics.queue_depth = lambda: self.queue.waiting
        metrics.in_flight = lambda: self._in_flight
        metrics.replicas = self.replicas.__len__

    @property
    def registration(self) -> int:
        """Which registration of the version this is; 0 while it is not registered."""
        return self.settings.registration if self.settings is not None else 0

    # -- queries

    def admit(self, flight: Flight, now: float) -> bool:
        """Queues a flight; or fails it at once, and returns False, if nobody could answer it in time."""
        queue = self.queue
        if self._delay is not None:
            self._arrivals.observe(now)
        if not self.replicas:
            flight.fail("no_replica", f"no container of {self.version} is connected")
            return False
        waiting = queue.waiting
        if waiting and (
            waiting >= self._queue_limit
            or self._outlook.is_surplus(waiting, flight.deadline, now)
            or queue.bytes + len(flight.input) > QUEUE_BYTES
        ):
            self._pressure.shed(self._outlook.is_surplus(waiting, flight.deadline + self._outlook.margin, now))
            detail = f"{waiting} queries wait for {self.version}: this one would be answered too late"
            flight.fail("overload", detail)
            return False
        queue.push(flight)
        return True

    def _drop_hopeless(self, now: float) -> None:
        hopeless = self.queue.expired(self._outlook.hopeless(now))
        if hopeless:
            self.fail([flight for flight in hopeless if flight.deadline <= now], "deadline", "")
            self._shed([flight for flight in hopeless if flight.deadline > now])

    def _shed(self, flights: list[Flight]) -> None:
        late = [flight for flight in flights if not flight.batches]  # a hedged one may still come
        self.fail(late, "overload", f"{self.version} has more queries than it can answer in time")

    def forsake(self, flight: Flight) -> None:
        """Nobody waits for this flight any more: it need not be worked on."""
        if flight.queued:
            self.queue.discard(flight)
        if not flight.batches:
            self._forget(flight)

    def fail(self, flights: Iterable[Flight], reason: str, detail: str) -> None:
        for flight in flights:
            self._forget(flight)
            flight.fail(reason, detail)

    # -- batches

    def fills_a_batch(self) -> bool:
        """Whether what waits may be sent before all is in that the loop's turn brings."""
        return self.settings is None or self.queue.waiting >= self.settings.batch_size

    def expects_no_more(self) -> bool:
        """Whether to wait for the end of the loop's turn is for nothing: queries come one by one, and here is one.

        Should more come after all, they wait for it: so only where that takes next to no time.
        """
        if self._batch != 1 or self._in_flight or self.queue.waiting != 1 or not self.fills_a_batch():
            return False
        return self.replicas[0].latency.predict(1) < SHORT_SECONDS

    def dispatch(self, now: float) -> None:
        """Has free replicas take what waits."""
        if not self.queue.waiting or (self._delay is not None and self._holds_back(self._delay, now)):
            return
        self._drop_hopeless(now)
        late: list[Flight] = []
        for replica, flights, too_late, lost in assign(self.queue, self.replicas, now):
            self._pressure.shed(lost)
            if flights:
                self._batch = len(flights)
                self._in_flight += self._batch
                self._budget.earn(self._batch)
                replica.send(flights, now)
                self.metrics.waited([now - flight.queued_at for flight in flights])
            late += too_late
        self._shed(late)
        self._outlook.change()
        self._watch(now)

    def _holds_back(self, delay: BatchDelay, now: float) -> bool:
        """Whether the last free replica waits for more queries before it takes those there are."""
        free = [replica for replica in self.replicas if replica.free(self.queue.waiting, now)]
        head = self.queue.head()
        if len(free) != 1 or head is None:
            return False
        replica, size = free[0], self.queue.waiting
        available = replica.available(now)
        slack = head.deadline - available - replica.latency.latest(size + 1) - self._delay_margin
        waiting = Waiting(
            size, replica.sizer.size(), now - head.queued_at, slack, self._arrivals.at(now), available - now
        )
        seconds = delay.seconds(waiting, replica.latency)
        if seconds > 0.0:
            self._alarm(now + seconds)
        return seconds > 0.0

    def ring(self, now: float) -> None:
        """Looks after batches that are overdue: another replica gets their queries, too."""
        for flight in overdue(self.replicas, now):
            if not self._budget.spend():
                break
            flight.hedged = True
            self.metrics.hedged += 1
            self.queue.push(flight)
        self._outlook.change()
        self.dispatch(now)
        self._watch(now)

    def _watch(self, now: float) -> None:
        when = next_overdue(self.replicas, now)
        if when is not None:
            self._alarm(when)

    def take_back(self, replica: Replica, batch_id: int, now: float, worked: float) -> list[Flight]:
        """The flights of a batch that was answered; the replica is free for the next one."""
        flights, seconds = replica.answered(batch_id, now, worked)
        replica.keep_margin(self._pressure.served(len(flights), now))
        for flight in flights:  # before others are sent: a copy that waits must not be
            if flight.shared or flight.queued:
                self._settle(flight)
        self._in_flight -= len(flights)
        self.metrics.batch_done(len(flights), seconds)
        self._outlook.change()
        self.dispatch(now)
        return flights

    def share(self, flight: Flight) -> None:
        """Lets later queries for the same output join this flight."""
        flight.shared = True
        self.flights[flight.input] = flight

    def _settle(self, flight: Flight) -> None:
        """Its outcome is known: nobody joins it any more, and a copy that still waits is not sent."""
        if flight.queued:  # it was hedged, and the first replica has answered after all
            self.queue.discard(flight)
        self._forget(flight)

    def fail_one(self, flight: Flight, data: bytes, told: bool) -> None:
        """The model failed this query, and ``data`` tells why; or ``data`` is what it made, and no output."""
        self.metrics.errors += 1
        text = data.decode(errors="replace") if told else "the container sent an output that is not JSON text"
        flight.fail("model_error", text)

    def _forget(self, flight: Flight) -> None:
        if flight.shared and self.flights.get(flight.input) is flight:
            del self.flights[flight.input]

    # -- replicas

    def join(self, replica: Replica, now: float) -> None:
        """One more replica is ready for batches."""
        self.tune(replica)
        self.replicas.append(replica)
        self._outlook.change()
        self.dispatch(now)
        self._watch(now)

    def tune(self, replica: Replica) -> None:
        """Sets how it is given batches, as the settings say; what was learned of its batches' size is forgotten."""
        settings = self.settings
        if settings is not None:
            self._delay = make_delay(settings.batch_delay_micros) if settings.batch_delay_micros else None
            self._delay_margin = max(LEAST_MARGIN, settings.slo * MARGIN_SHARE)
            sizer = make_sizer(settings.batching, settings.batch_size, settings.slo * BATCH_SHARE)
            replica.tune(sizer, settings.slo)
            self._outlook.change()

    def lose(self, replica: Replica, now: float) -> None:
        """A replica is gone: what it had goes to the others, as far as there is time and another."""
        self.replicas.remove(replica)
        replica.abandon(self._retry)
        self._outlook.change()
        if self.replicas:
            self.dispatch(now)
        else:
            self.fail(self.queue.drain(), "no_replica", f"the last container of {self.version} is gone")

    def _retry(self, flight: Flight) -> None:
        self._in_flight -= 1
        flight.tries += 1
        if flight.queued or flight.batches:
            return
        if not flight.waiters:
            self._forget(flight)
        elif flight.tries >= MAX_TRIES:
            detail = f"{flight.tries} containers of {self.version} died while they worked on this query"
            self.fail((flight,), "model_error", detail)
        else:
            self.metrics.redispatched += 1
            self.queue.push(flight)

    def close(self, detail: str) -> None:
        """Ends it all: the model version is no more."""
        flights = [
            *self.queue.drain(),
            *(f for r in self.replicas for b in r.outstanding.values() for f in b.flights),
        ]
        self.fail(flights, "no_model", detail)
        for replica in self.replicas:
            replica.outstanding.clear()
            replica.link.close(detail)
