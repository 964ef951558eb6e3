"""A connected model container, as the execution layer sees it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from clipper.execution.batching import Aimd, BatchSizer, Fixed, LatencyModel
from clipper.execution.flight import Flight

PIPELINE_SECONDS = 0.005
"""Batches that take less than this are sent two at a time, so that the next one waits in the replica's socket while
the first is worked on. For longer ones the gap between two batches does not matter, and waiting here is better: the
batch stays open, and another replica may take it."""


class Link(Protocol):
    """The connection to a container."""

    def send_batch(self, batch_id: int, inputs: list[bytes], budget_micros: int) -> None: ...

    def close(self, reason: str) -> None:
        """Ends the connection because the other end can't be used; ``reason`` goes to the log."""
        ...


class Batch(NamedTuple):
    """Flights that were sent together."""

    flights: list[Flight]
    sent_at: float
    full: bool


class Replica:
    """Its connection, its batches in flight, and what was learned of its speed."""

    __slots__ = (
        "_last_answer",
        "_next_batch",
        "draining",
        "input_type",
        "latency",
        "link",
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
        self.outstanding: dict[int, Batch] = {}
        self.draining = False
        self._next_batch = 0
        self._last_answer = 0.0

    def tune(self, batch_size: int, slo: float) -> None:
        """Starts to learn anew how large a batch may be (``batch_size`` -1), or takes the size as given.

        ``slo``: seconds. A query may find one batch before its own, or two that are pipelined and thus short: each
        may take its share.
        """
        self.sizer = Fixed(batch_size) if batch_size > 0 else Aimd(slo * 0.45)
        self.pipeline_seconds = min(PIPELINE_SECONDS, slo / 4)

    @property
    def free(self) -> bool:
        if not self.outstanding:
            return not self.draining
        return (
            len(self.outstanding) == 1
            and self.latency.predict(self.sizer.size()) < self.pipeline_seconds
            and not self.draining
        )

    @property
    def rate(self) -> float:
        """Queries a second it can serve with full batches; infinite as long as that is not known."""
        if not self.sizer.settled:
            return float("inf")
        size = self.sizer.size()
        seconds = self.latency.predict(size)
        return size / seconds if seconds > 0 else float("inf")

    def finish(self, size: int, now: float) -> float:
        """When a batch of ``size`` would be answered if it were sent now."""
        start = now
        for batch in self.outstanding.values():
            begun = max(batch.sent_at, self._last_answer)
            start = max(start, begun + self.latency.predict(len(batch.flights)))
        return start + self.latency.predict(size)

    def send(self, flights: list[Flight], now: float) -> None:
        self._next_batch = batch_id = (self._next_batch + 1) & 0xFFFFFFFF
        self.outstanding[batch_id] = Batch(flights, now, len(flights) >= self.sizer.size())
        budget = max(0.001, max(flight.deadline for flight in flights) - now)
        self.link.send_batch(batch_id, [f.input for f in flights], min(int(budget * 1e6), 0xFFFFFFFF))

    def answered(self, batch_id: int, now: float, worked: float = 0.0) -> tuple[list[Flight], float]:
        """The flights of a batch in flight that was answered, and the seconds it took.

        The clock of a pipelined batch starts when the replica was done with the one before it. What the container
        says that it ``worked`` is better: a frontend that is overloaded itself sees answers late, and must not take
        that for slowness of the replica. A container can only make itself out as faster than it was seen to be.
        """
        batch = self.outstanding.pop(batch_id)
        seconds = now - max(batch.sent_at, self._last_answer)
        if worked > 0:
            seconds = min(seconds, worked)
        self._last_answer = now
        self.sizer.observe(seconds, batch.full)
        self.latency.observe(len(batch.flights), seconds)
        return batch.flights, seconds
