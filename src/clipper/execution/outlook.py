"""What the replicas of a model version can still do in time: whether it is of use to let another query wait."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from clipper.execution.latency import LatencyModel
from clipper.execution.replica import Replica

MARGIN = 2.0
"""So many times more queries may wait than can be answered in time: when the next batch is made, the newest of them
are served, and under a rush the older ones have no time left by then."""


class Pressure:
    """How much of the load was too much lately.

    Under more than can be served, whoever is served should be answered in time for sure: there are others. As long as
    next to nothing is turned down, a query is better tried to its last moment. What is turned down only for the sake
    of the margin does not count: the margin would keep itself up.
    """

    MEMORY: Final = 16
    """Batches that it reaches back."""
    FULL: Final = 0.05
    """The share of queries turned down from which on there is no more to be learned."""

    LONG: Final = 1.0
    """Seconds without a batch after which it is over."""

    __slots__ = ("_average", "_last", "_shed")

    def __init__(self) -> None:
        self._average = self._last = 0.0
        self._shed = 0

    def shed(self, queries: int) -> None:
        """So many were turned down."""
        self._shed += queries

    def served(self, queries: int, now: float) -> float:
        """A batch of so many came back; how pressing it is, from 0 to 1."""
        if now - self._last > self.LONG:
            self._average = 0.0
        self._last = now
        self._average += (self._shed / (self._shed + queries) - self._average) / self.MEMORY
        self._shed = 0
        return min(1.0, self._average / self.FULL)


class Outlook:
    """The forecast for the next batch of some replicas, worked out once after a change, if it is asked for.

    ``margin`` is that of the replica which makes it.
    """

    __slots__ = ("_bound", "_bounds", "_known", "_latency", "_ready", "_replicas", "_throughput", "margin")

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self._replicas = replicas
        self._known = False
        self._latency = LatencyModel()
        self._bound = 1
        self._ready = self.margin = 0.0
        self._bounds = self._throughput = math.inf

    def change(self) -> None:
        """Takes note that a replica was sent a batch, has answered one, came, went or is overdue."""
        self._known = False

    def _look(self, now: float) -> None:
        self._known = True
        self._ready = math.inf
        self._bounds = self._throughput = 0.0
        for replica in self._replicas:
            if replica.draining:
                continue
            bound, latency, ready = replica.sizer.size(), replica.latency, replica.available(now)
            if ready <= self._ready:
                self._bound, self._latency, self._ready, self.margin = bound, latency, ready, replica.margin
            seconds = latency.predict(bound)
            self._bounds += bound
            self._throughput += bound / seconds if replica.sizer.settled and seconds > 0 else math.inf

    def hopeless(self, now: float) -> float:
        """A query due by then can't be answered in time any more."""
        if not self._known:
            self._look(now)
        first = self._ready + self._latency.predict(1) + self.margin
        return max(now, first) if now < self._ready < math.inf else now

    def is_surplus(self, waiting: int, deadline: float, now: float) -> bool:
        """Whether one more query, with ``waiting`` before it, would be answered too late or make others late.

        While a replica is idle nothing is: whoever takes the batch then sees what fits.
        """
        if not self._known:
            self._look(now)
        ready = self._ready
        if not now < ready < math.inf:
            return False
        if ready + self._latency.predict(min(waiting + 1, self._bound)) + self.margin > deadline:
            return True
        return waiting > MARGIN * (self._bounds + (deadline - ready) * self._throughput)
