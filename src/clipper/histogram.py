"""Histograms while they grow: cheap to record into."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from clipper.distribution import SCALES, Distribution, Unit

_ASIDE: Final = 512


class Histogram:
    """Where values of one unit are recorded.

    A value is only put aside; hundreds at once are then sorted into the buckets, in less time than one by one. Until
    then there are no buckets: most of a thousand idle models cost next to nothing.
    """

    __slots__ = ("_buckets", "_maximum", "_minimum", "_squares", "_sum", "_times", "_unit", "_values", "_weighted")

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._values: list[float] = []
        self._weighted: list[float] = []
        self._times: list[int] = []
        self._buckets: NDArray[np.int64] | None = None
        self._sum = self._squares = 0.0
        self._minimum, self._maximum = math.inf, -math.inf

    def record(self, value: float) -> None:
        """Counts a value."""
        values = self._values
        values.append(value)
        if len(values) >= _ASIDE:
            self._sort()

    def record_all(self, values: Sequence[float]) -> None:
        """Counts each of the values."""
        self._values += values
        if len(self._values) >= _ASIDE:
            self._sort()

    def record_times(self, value: float, times: int) -> None:
        """Counts a value as if recorded so many ``times`` (at least 1)."""
        self._weighted.append(value)
        self._times.append(times)
        if len(self._times) >= _ASIDE:
            self._sort()

    def snapshot(self) -> Distribution:
        self._sort()
        if self._buckets is None:
            return Distribution(self._unit)
        filled = np.flatnonzero(self._buckets)
        buckets = dict(zip(filled.tolist(), self._buckets[filled].tolist(), strict=True))
        count = int(self._buckets.sum())
        return Distribution(self._unit, buckets, count, self._sum, self._squares, self._minimum, self._maximum)

    def _sort(self) -> None:
        values, weighted, times = self._values, self._weighted, self._times
        if values:
            self._add(np.fromiter(values, np.float64, len(values)), np.ones(len(values)))
            values.clear()
        if weighted:
            self._add(np.fromiter(weighted, np.float64, len(weighted)), np.array(times, np.float64))
            weighted.clear()
            times.clear()

    def _add(self, values: NDArray[np.float64], times: NDArray[np.float64]) -> None:
        if self._buckets is None:
            self._buckets = np.zeros(len(SCALES[self._unit].middles), np.int64)
        buckets = np.searchsorted(SCALES[self._unit].bounds, values)
        self._buckets += np.bincount(buckets, times, len(self._buckets)).astype(np.int64)
        weighted = values * times
        self._sum += float(weighted.sum())
        self._squares += float(values @ weighted)
        self._minimum = min(self._minimum, float(values.min()))
        self._maximum = max(self._maximum, float(values.max()))
