"""A connected model container, as the execution layer sees it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from clipper.execution.batching import BatchSizer, Fixed
from clipper.execution.flight import Flight
from clipper.execution.latency import LatencyModel, Overhead

PIPELINE_SECONDS = 0.005
"""Batches that take less than this are sent two at a time, so that the next one waits in the replica's socket while
the first is worked on. For longer ones the gap between two batches does not matter, and waiting here is better: the
batch stays open, and another replica may take it."""

LATE_SHARE = 0.5
LATE_SECONDS = 0.005
"""A batch is overdue once it took half as long again as was expected, and at least so much longer: rare by chance."""


WAYS = 2.0
"""Times the overhead of a batch that its queries must be ready before their deadline: it is measured between here and
the container, and the ways from and to the client are of the same kind."""

MOST_MARGIN = 0.25
"""Of the objective: no overhead takes more of it away, or there would be no time left for the model."""

SHORTEST = 1e-6
"""Seconds: no batch takes less, whatever a clock says."""


FEW_BATCHES = 8
"""A forecast made of fewer is no reason to send nothing: the first batch of a container may take much longer."""


class Link(Protocol):
    """The connection to a container."""

    def send_batch(
        self, batch_id: int, inputs: list[bytes], budget_micros: int, request_ids: Sequence[str] = ()
    ) -> None:
        """``request_ids``: none, or one for each input, empty where its client gave none."""
        ...

    def close(self, reason: str) -> None:
        """Ends the connection because the other end can't be used; ``reason`` goes to the log."""
        ...


class Batch(NamedTuple):
    """Flights that were sent together. ``late_at`` is when the replica is no longer trusted to answer them.

    ``tried``: one of them was in a replica that died.
    """

    flights: list[Flight]
    sent_at: float
    full: bool
    late_at: float
    tried: bool


class Replica:
    """Its connection, its batches in flight, and what was learned of its speed.

    ``margin``: seconds before their deadline at which its answers should be there, to reach the client in time.
    """

    __slots__ = (
        "_next_batch",
        "_overhead",
        "_slo",
        "draining",
        "input_type",
        "last_answer",
        "latency",
        "link",
        "margin",
        "outstanding",
        "pipeline_seconds",
        "replica_id",
        "sizer",
    )

    def __init__(self, replica_id: int, input_type: str, link: Link) -> None:
        self.replica_id = replica_id
        self.input_type = input_type
        self.link = link
        self.sizer: BatchSizer = Fixed(1)
        self.pipeline_seconds = 0.0
        self.latency = LatencyModel()
        self.margin = 0.0
        self._overhead = Overhead()
        self.outstanding: dict[int, Batch] = {}
        self.draining = False
        self._slo = 0.0
        self._next_batch = 0
        self.last_answer = 0.0

    def tune(self, sizer: BatchSizer, slo: float) -> None:
        """Takes another bound on its batches, for applications whose shortest objective is ``slo`` seconds."""
        self.sizer = sizer
        self._slo = slo
        self.pipeline_seconds = min(PIPELINE_SECONDS, slo / 4)

    def free(self, waiting: int, now: float) -> bool:
        """Whether a batch of those that wait may be sent to it now.

        A second one only if as many wait as the first one holds: many small batches cost more than they bring. And
        not behind a query that was in a replica that died: this one may, too, and take the second batch with it.
        """
        if self.draining:
            return False
        if not self.outstanding:
            return True
        if len(self.outstanding) > 1 or self.latency.predict(self.sizer.size()) >= self.pipeline_seconds:
            return False
        (batch,) = self.outstanding.values()
        return waiting >= len(batch.flights) and batch.late_at > now and not batch.tried

    def overdue(self, now: float) -> bool:
        """Whether a batch should have been answered for long."""
        return any(batch.late_at <= now for batch in self.outstanding.values())

    def available(self, now: float) -> float:
        """When it will have answered what it was sent; never, as far as anyone knows, once it is overdue."""
        ready = now
        for batch in self.outstanding.values():
            if batch.late_at <= now:
                return math.inf
            begun = max(batch.sent_at, self.last_answer)
            ready = max(ready, begun + self.latency.predict(len(batch.flights)))
        return ready

    def may_try(self, deadline: float, now: float) -> bool:
        """Whether one that is forecast to be late may be sent: while little is known, or after a long idle time."""
        if self.outstanding or deadline <= now:
            return False
        return self._next_batch < FEW_BATCHES or now - self.last_answer >= self._slo

    def finish(self, size: int, now: float) -> float:
        """When a batch of ``size`` would be answered if it were sent now."""
        return self.available(now) + self.latency.predict(size)

    def send(self, flights: list[Flight], now: float) -> None:
        self._next_batch = batch_id = (self._next_batch + 1) & 0xFFFFFFFF
        deadline, tries, named = now, 0, False
        for flight in flights:
            flight.batches += 1
            tries += flight.tries
            named = named or flight.request_id != ""
            deadline = flight.deadline if flight.deadline > deadline else deadline
        full = len(flights) >= self.sizer.size()
        late_at = self._late_at(len(flights), now)
        self.outstanding[batch_id] = Batch(flights, now, full, late_at, tries > 0)
        budget = min(int(max(0.001, deadline - now) * 1e6), 0xFFFFFFFF)
        request_ids = [flight.request_id for flight in flights] if named else ()
        self.link.send_batch(batch_id, [flight.input for flight in flights], budget, request_ids)

    def _late_at(self, size: int, now: float) -> float:
        expected = self.latency.predict(size)
        if expected == 0.0:  # nothing is known of it yet
            return now + self._slo / 2
        return self.available(now) + expected + max(LATE_SHARE * expected, LATE_SECONDS)

    def answered(self, batch_id: int, now: float, worked: float = 0.0) -> tuple[list[Flight], float]:
        """The flights of a batch in flight that was answered, and the seconds it took.

        The clock of a pipelined batch starts when the replica was done with the one before it. What the container
        says that it ``worked`` is better: a frontend that is overloaded itself sees answers late, and must not take
        that for slowness of the replica. A container can only make itself out as faster than it was seen to be.
        """
        batch = self.outstanding.pop(batch_id)
        seconds = max(now - max(batch.sent_at, self.last_answer), SHORTEST)
        if worked > 0:
            self._overhead.observe(max(0.0, seconds - worked))
            seconds = min(seconds, worked)
        self.last_answer = now
        size = len(batch.flights)
        self.sizer.observe(size, seconds, batch.full)
        self.latency.observe(size, seconds)
        for flight in batch.flights:
            flight.batches -= 1
        return batch.flights, seconds

    def keep_margin(self, share: float) -> None:
        """Has its answers come before their deadline by this share of what the ways to the client may take."""
        self.margin = share * min(WAYS * self._overhead.high, MOST_MARGIN * self._slo)

    def abandon(self, take_back: Callable[[Flight], None]) -> None:
        """Gives back what it has in flight. Which of it the replica has worked on can't be told for sure."""
        batches = list(self.outstanding.values())
        self.outstanding.clear()
        for batch in batches:
            for flight in batch.flights:
                flight.batches -= 1
                take_back(flight)
