"""How many queries a replica is given at once. Pure: latencies in, sizes out.

A replica's latency grows with the batch while its throughput rises, so the best batch is the largest whose latency
still fits the objective (the paper, section 4.3). Each replica learns its own, since replicas differ in speed.
"""

from __future__ import annotations

from typing import Protocol

MAX_BATCH = 4096


class BatchSizer(Protocol):
    """Decides the most queries of a batch, and learns from how long batches took.

    ``settled``: the bound has met its objective; until then what was measured says little of what a replica can do.
    """

    @property
    def settled(self) -> bool: ...

    def size(self) -> int: ...

    def observe(self, seconds: float, full: bool) -> None:
        """A batch took ``seconds`` in the replica; ``full``: it held as many queries as ``size()`` then allowed."""
        ...


class Fixed:
    """Always the same bound: what the model's owner asked for (``batch_size=n``; 1 turns batching off)."""

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        self._size = size

    @property
    def settled(self) -> bool:
        return True

    def size(self) -> int:
        return self._size

    def observe(self, seconds: float, full: bool) -> None:
        pass


class Aimd:
    """Additive increase, multiplicative decrease, with the constants of the measured prototype (paper.md A.3).

    +2 after a batch under 90 % of the objective, x0.9 after one over it, hold between. Only full batches count: the
    others say nothing about the bound, and in the prototype pulled it down whenever the load was light.
    """

    __slots__ = ("_bound", "_objective", "settled")

    def __init__(self, objective: float) -> None:
        """``objective`` is the time, in seconds, that a batch may take in the replica."""
        self._objective = objective
        self._bound = 1
        self.settled = False

    def size(self) -> int:
        return self._bound

    def observe(self, seconds: float, full: bool) -> None:
        if not full:
            return
        if seconds < 0.9 * self._objective:
            self._bound = min(MAX_BATCH, self._bound + 2)
            return
        self.settled = True
        if seconds > self._objective:
            self._bound = max(1, int(self._bound * 0.9))


class LatencyModel:
    """Seconds a batch of n takes, as a + b*n: least squares in which a batch counts half after ``HALF_LIFE`` more.

    A single hiccup must not silence a replica: one batch counts as at most ``CLAMP`` times what was expected of it,
    and each that takes less than a ``CLAMP``-th halves the weight of all that was seen before.
    """

    HALF_LIFE = 8
    CLAMP = 4.0

    __slots__ = ("_decay", "_n", "_nn", "_ns", "_s", "_w")

    def __init__(self) -> None:
        self._decay = 0.5 ** (1 / self.HALF_LIFE)
        self._w = self._n = self._s = self._nn = self._ns = 0.0

    def observe(self, size: int, seconds: float) -> None:
        decay = self._decay
        if self._w > 0:
            expected = self.predict(size)
            decay = 0.5 if seconds * self.CLAMP < expected else decay
            seconds = min(seconds, self.CLAMP * expected) if self._w > 1 else seconds
        self._w = self._w * decay + 1
        self._n = self._n * decay + size
        self._s = self._s * decay + seconds
        self._nn = self._nn * decay + size * size
        self._ns = self._ns * decay + size * seconds

    def predict(self, size: int) -> float:
        """Expected seconds for a batch of ``size``; 0.0 before anything was observed."""
        if self._w == 0:
            return 0.0
        mean_size, mean_seconds = self._n / self._w, self._s / self._w
        spread = self._nn / self._w - mean_size * mean_size
        if spread < 1e-9 * mean_size * mean_size + 1e-12:
            return mean_seconds * max(1.0, size / mean_size)
        slope = max(0.0, (self._ns / self._w - mean_size * mean_seconds) / spread)
        return max(slope * size, mean_seconds + slope * (size - mean_size), 0.0)
