"""Histograms at one moment: near enough to exact for percentiles, and their sums are histograms again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Unit = Literal["seconds", "queries"]

_STEPS: Final = 16
"""Buckets a doubling: each is 4.4 % wide, so its middle is within 2.2 % of what it holds."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Buckets for values of one unit: bucket ``i`` holds those in ``(bounds[i - 1], bounds[i]]``, the last the rest.

    ``middles[i]`` stands for the values in bucket ``i``.
    """

    bounds: NDArray[np.float64]
    middles: tuple[float, ...]


def _seconds() -> Scale:
    """From 1 us to 1000 s; 0.25 ms times or over any power of two is exactly a bound."""
    bounds = [0.00025 / 256 * 2 ** (step / _STEPS) for step in range(30 * _STEPS + 1)]
    return Scale(np.array(bounds), (bounds[0], *(math.sqrt(low * high) for low, high in pairwise(bounds)), math.inf))


def _queries() -> Scale:
    """Whole numbers up to 4096, exact up to 32; every power of two is a bound."""
    doublings = [_STEPS << doubling for doubling in range(8)]
    bounds = [*range(1, _STEPS), *(low + low * step // _STEPS for low in doublings for step in range(_STEPS)), 4096]
    return Scale(np.array(bounds), (1, *((low + 1 + high) / 2 for low, high in pairwise(bounds)), math.inf))


SCALES: Final[dict[Unit, Scale]] = {"seconds": _seconds(), "queries": _queries()}


class Distribution(msgspec.Struct, frozen=True):
    """A histogram at one moment: the buckets that are not empty, and the exact moments of all values."""

    unit: Unit
    buckets: dict[int, int] = {}
    count: int = 0
    sum: float = 0.0
    squares: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0

    def plus(self, other: Distribution) -> Distribution:
        """What one histogram would hold that had recorded the values of both."""
        if not (self.count and other.count):
            return self if self.count else other
        both = self.buckets.keys() | other.buckets.keys()
        return Distribution(
            self.unit,
            {bucket: self.buckets.get(bucket, 0) + other.buckets.get(bucket, 0) for bucket in both},
            self.count + other.count,
            self.sum + other.sum,
            self.squares + other.squares,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )

    @property
    def mean(self) -> float:
        return self.sum / self.count if self.count else 0.0

    @property
    def std_dev(self) -> float:
        return math.sqrt(max(0.0, self.squares / self.count - self.mean**2)) if self.count else 0.0

    def percentile(self, fraction: float) -> float:
        """The value at rank ``fraction * (count + 1)``, interpolated as the original does; 0 if empty."""
        if not self.count:
            return 0.0
        rank = min(max(fraction * (self.count + 1), 1.0), float(self.count))
        low, high = self._ranked(math.floor(rank)), self._ranked(math.ceil(rank))
        return low + (high - low) * (rank % 1.0)

    def at_most(self, edges: Sequence[float]) -> list[int]:
        """How many values are at most each of the edges; exact for those that are bounds of the scale."""
        scale = SCALES[self.unit]
        counts = np.zeros(len(scale.middles), np.int64)
        counts[list(self.buckets)] = list(self.buckets.values())
        running: list[int] = counts.cumsum()[np.searchsorted(scale.bounds, edges)].tolist()
        return running

    def _ranked(self, rank: int) -> float:
        """The value that is ``rank``-th from the smallest, which is the first."""
        if rank == 1:
            return self.minimum
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return min(max(SCALES[self.unit].middles[bucket], self.minimum), self.maximum)
        return self.maximum
