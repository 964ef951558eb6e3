"""Whether a batch waits for more queries before it is sent (the paper, section 4.3.2). Pure.

Ask only for the last free replica: while another one is free, the next query finds it, and to wait gains nothing.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, Protocol

from clipper.execution.latency import LatencyModel


class Waiting(NamedTuple):
    """The queries that would be sent now.

    ``size``: how many they are, at least 1. ``bound``: the most that a batch may hold. ``oldest``: seconds that the
    first of them has waited. ``slack``: seconds that the most urgent of them has left if they are sent now. ``rate``:
    queries that come in a second. ``busy``: seconds that the replica will still work on what it was sent before.
    """

    size: int
    bound: int
    oldest: float
    slack: float
    rate: float
    busy: float = 0.0


LEAD: Final = 200e-6
"""Seconds before a replica is done that its next batch is sent: so long are the ways to it and back."""
LEAST: Final = 10e-6
"""Seconds: less is not waited for. Else a timer that rings a rounding error too early would be set again at once."""


class BatchDelay(Protocol):
    """Decides how long a batch that could be sent waits for more queries."""

    def seconds(self, waiting: Waiting, latency: LatencyModel) -> float:
        """Seconds to wait from now on; 0: send it. Ask again whenever a query comes, and when the time is over."""
        ...


class Constant:
    """At most ``micros`` microseconds, counted from the arrival of the oldest query; 0 turns the delay off."""

    __slots__ = ("_seconds",)

    def __init__(self, micros: int) -> None:
        self._seconds = micros / 1e6

    def seconds(self, waiting: Waiting, latency: LatencyModel) -> float:
        if waiting.size >= waiting.bound:
            return 0.0
        return _worthwhile(min(self._seconds - waiting.oldest, waiting.slack))


class Learned:
    """Waits for the next query while that costs everybody less time, summed up, than it saves.

    A batch of n takes a + b*n. If it is sent now, the next query, which comes dt = 1/rate later, sits out what is
    left of it, a + b*n - dt, and then pays a + b alone. If they wait for it, it pays a + b*(n + 1), and each of the n
    is answered dt + b later. So they wait while a > (n + 1)*dt + b*n, and never longer than the a that there is to
    gain. (BentoML corks by a rule of the same kind.)

    A batch for a replica that still works on another stays open until shortly before that one is done: it costs
    nobody anything, and those who come meanwhile need not sit out a third.
    """

    __slots__ = ()

    def seconds(self, waiting: Waiting, latency: LatencyModel) -> float:
        if waiting.size >= waiting.bound or waiting.rate <= 0.0:
            return 0.0
        if waiting.busy >= LEAD + LEAST:
            return _worthwhile(min(waiting.busy - LEAD, waiting.slack))
        gap = 1.0 / waiting.rate
        if latency.fixed <= (waiting.size + 1) * gap + latency.slope * waiting.size:
            return 0.0
        return _worthwhile(min(2.0 * gap, latency.fixed - waiting.oldest, waiting.slack))


def _worthwhile(seconds: float) -> float:
    return seconds if seconds >= LEAST else 0.0


LEARNED: Final = -1


def make_delay(micros: int) -> BatchDelay:
    """A model's delay by its ``batch_delay_micros``: -1 is learned, 0 none."""
    return Learned() if micros == LEARNED else Constant(micros)


class ArrivalRate:
    """Queries a second, each of which counts for less the longer ago it came."""

    MEMORY: Final = 0.25
    """Seconds after which a query counts for 1/e."""

    __slots__ = ("_count", "_last", "_started")

    def __init__(self, now: float) -> None:
        self._count = 0.0
        self._last = self._started = now

    def observe(self, now: float, queries: int = 1) -> None:
        """``queries`` came at ``now`` (seconds, monotonic)."""
        self._count = self._count * self._faded(now) + queries
        self._last = now

    def at(self, now: float) -> float:
        """The rate at ``now``; 0 before anything came."""
        age = now - self._started
        known = -math.expm1(-age / self.MEMORY) * self.MEMORY
        return self._count * self._faded(now) / known if known > 0.0 else 0.0

    def _faded(self, now: float) -> float:
        return math.exp((self._last - now) / self.MEMORY)
