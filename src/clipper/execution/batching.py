"""How many queries a replica is given at once. Pure: latencies in, sizes out.

A replica's latency grows with the batch while its throughput rises, so the best batch is the largest whose latency
still fits the objective (the paper, section 4.3). Each replica learns its own, since replicas differ in speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from clipper.execution.latency import LatencyModel

MAX_BATCH: Final = 4096


class BatchSizer(Protocol):
    """Decides the most queries of a batch, and learns from how long batches took.

    ``settled``: the bound has met its objective; until then what was measured says little of what a replica can do.
    """

    @property
    def settled(self) -> bool: ...

    def size(self) -> int: ...

    def observe(self, size: int, seconds: float, full: bool) -> None:
        """A batch of ``size`` took ``seconds`` in the replica; ``full``: ``size()`` then allowed no more."""
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

    def observe(self, size: int, seconds: float, full: bool) -> None:
        pass


class Aimd:
    """Additive increase, multiplicative decrease, with the constants of the measured prototype (paper.md A.3).

    +2 after a batch under 90 % of the objective, x0.9 after one over it, hold between. Only full batches raise the
    bound: the others say nothing about it, and in the prototype pulled it down whenever the load was light.

    Beyond the paper: at the start, and after ``PATIENCE`` batches in a row that took less than half of the objective,
    the bound is searched for: it doubles, then grows by an eighth. A second batch in a row over the objective lowers
    it in proportion, even if it was not full. And a size that took too long is not tried again for ``CALM`` batches:
    else small bounds, to which two more is much, would be exceeded by every other batch.
    """

    PATIENCE: Final = 8
    CALM: Final = 100

    __slots__ = ("_bound", "_calm", "_ceiling", "_objective", "_over", "_quick", "_searching", "settled")

    def __init__(self, objective: float) -> None:
        """``objective`` is the time, in seconds, that a batch may take in the replica."""
        self._objective = objective
        self._bound = 1
        self._ceiling = MAX_BATCH + 1
        self._searching = True
        self._over = False
        self._quick = self._calm = 0
        self.settled = False

    def size(self) -> int:
        return self._bound

    def observe(self, size: int, seconds: float, full: bool) -> None:
        again, self._over = self._over, seconds > self._objective
        if self._over:
            if full or again:
                self._lower(size, max(0.5, min(0.9, self._objective / seconds)) if again else 0.9)
        elif full:
            self._hold_or_raise(seconds / self._objective)

    def _lower(self, size: int, factor: float) -> None:
        self.settled = True
        self._searching = False
        self._quick = self._calm = 0
        self._ceiling = max(2, size)
        self._bound = max(1, min(self._bound, int(size * factor)))

    def _hold_or_raise(self, share: float) -> None:
        self._quick = self._quick + 1 if share < 0.5 else 0
        self._calm += 1
        self._searching = self._searching or self._quick >= self.PATIENCE
        if self._searching or self._calm >= self.CALM:
            self._ceiling = MAX_BATCH + 1
        if share < 0.9:
            self._bound = max(self._bound, min(self._bound + self._step(share), self._ceiling - 1))
        else:
            self.settled = True
            self._searching = False

    def _step(self, share: float) -> int:
        if not self._searching:
            return 2
        return self._bound if share < 0.5 else max(2, self._bound // 8)


class QuantileRegression:
    """The largest batch whose 99th percentile meets the objective, by regression over the last batches.

    The paper (section 4.3.2) fits the line a + b*n once and keeps it; here the window slides. A hiccup does not enter
    it, a lasting change multiplies what is in it: after two batches the bound is the right one again. Sizes are
    explored with full batches only: by doubling at the start, later to twice the largest in the window.
    """

    WINDOW: Final = 128
    EVERY: Final = 8
    """Batches between two regressions: one takes as long as a hundred observations."""
    QUANTILE: Final = 0.99
    SPAN: Final = 1.25
    """The largest size by the smallest: less, and noise passes for a slope."""

    __slots__ = ("_bound", "_latency", "_news", "_objective", "_seconds", "_seen", "_sizes", "settled")

    def __init__(self, objective: float) -> None:
        """``objective`` is the time, in seconds, that a batch may take in the replica."""
        self._objective = objective
        self._bound = 1
        self._latency = LatencyModel()
        self._sizes = np.zeros(self.WINDOW)
        self._seconds = np.zeros(self.WINDOW)
        self._seen = 0
        self._news = 0
        self.settled = False

    def size(self) -> int:
        return self._bound

    def observe(self, size: int, seconds: float, full: bool) -> None:
        change = self._latency.observe(size, seconds)
        if change is None:
            return
        self._seconds *= change
        over = seconds > self._objective
        if 2 * size < self._bound and not over:
            return
        self._remember(size, seconds)
        if full and not self.settled and seconds < 0.5 * self._objective:
            self._bound = min(MAX_BATCH, 2 * size)
        elif full or over:
            self.settled = True
            self._news += self.EVERY if over or change != 1.0 else 1
            if self._news >= self.EVERY:
                self._refit()

    def _remember(self, size: int, seconds: float) -> None:
        place = self._seen % self.WINDOW
        self._sizes[place] = size
        self._seconds[place] = seconds
        self._seen += 1

    def _refit(self) -> None:
        sizes, seconds = self._sizes[: self._seen], self._seconds[: self._seen]
        largest = int(sizes.max())
        if largest >= self.SPAN * sizes.min():
            fitting = self._on_line(*quantile_line(sizes, seconds, self.QUANTILE))
        else:
            fitting = self._without_line(largest, float(np.quantile(seconds, self.QUANTILE)))
        bound = max(1, min(MAX_BATCH, 2 * largest, int(fitting)))
        self._news = self.EVERY - 1 if bound > 1.1 * largest else 0  # what was never tried shall be judged at once
        self._bound = bound

    def _on_line(self, fixed: float, slope: float) -> float:
        left = self._objective - fixed
        return left / slope if slope > 0 else math.copysign(MAX_BATCH, left)

    def _without_line(self, size: int, seconds: float) -> float:
        """Sizes that are all alike tell no slope: goes down in proportion, holds, or tries larger ones."""
        share = seconds / self._objective
        if share < 0.9:
            return 2 * size if share < 0.5 else size + max(1, size // 4)
        return size / max(1.0, share)


Array = npt.NDArray[np.float64]


def quantile_line(sizes: Array, seconds: Array, quantile: float) -> tuple[float, float]:
    """The line a + b*n, b >= 0, that a share ``quantile`` of the batches stay below (Koenker and Bassett, 1978).

    The loss is convex in b, and the best a for a given b is a quantile of what b*n leaves: so b is searched for in
    ever smaller steps. Returns a and b, in seconds.
    """
    rank = math.ceil(quantile * len(sizes)) - 1
    low, high = 0.0, float(np.partition(seconds, rank)[rank] / sizes.mean())
    for _ in range(2):
        slopes = np.linspace(low, high, STEPS + 1)
        left = seconds - slopes[:, None] * sizes
        fixed = np.partition(left, rank, axis=1)[:, rank]
        above = np.maximum(left - fixed[:, None], 0.0).sum(axis=1)
        best = int(np.argmin(above + (1 - quantile) * (len(sizes) * fixed - left.sum(axis=1))))
        low, high = slopes[max(0, best - 1)], slopes[min(STEPS, best + 1)]
    return float(fixed[best]), float(slopes[best])


STEPS: Final = 16
"""Slopes that are tried at once; the search for the best one takes two rounds of them."""


BATCHING: Final[Mapping[str, Callable[[float], BatchSizer]]] = {"aimd": Aimd, "quantile": QuantileRegression}
"""The ways to learn a batch size, by the name that a model asks for with ``batching``."""


def make_sizer(batching: str, batch_size: int, objective: float) -> BatchSizer:
    """A model's sizer: ``batch_size`` if it is positive, else one that learns to take ``objective`` seconds."""
    return Fixed(batch_size) if batch_size > 0 else BATCHING[batching](objective)
