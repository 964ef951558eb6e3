"""How long a batch will take a replica, learned from those that it answered. Pure: seconds in, seconds out."""

from __future__ import annotations

from typing import Final

ORDINARY: Final = 1.5
"""A batch that takes more than so many times what is expected, or less than that part of it, is a surprise."""

TICK: Final = 1e-6
"""No batch takes less, whatever the clock says."""


class Surprise:
    """Tells a hiccup from a change: one batch that takes far too long is an accident, a second in a row is not.

    So with batches that take far too little: what slowed down those before may be over.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 1.0

    def judge(self, ratio: float, ordinary: float) -> float | None:
        """What the past must be multiplied with to explain ``ratio`` (seconds taken / expected); None: a hiccup.

        Ratios up to ``ordinary``, and down to its inverse, are no surprise. Of the two that make a change the lesser
        one counts.
        """
        last, self._last = self._last, ratio
        if 1 / ordinary <= ratio <= ordinary:
            return 1.0
        if (ratio > ordinary and last > ordinary) or (ratio < 1 / ordinary and last < 1 / ordinary):
            self._last = 1.0
            return min(ratio, last, key=lambda each: abs(each - 1.0))
        return None


class LatencyModel:
    """Seconds that a batch of n takes, as ``fixed + slope * n``, neither below 0.

    Moving averages of sizes and seconds, and the slope by least squares around them. For the slope a batch counts by
    how far its size is from the usual one: under steady load all sizes are alike, and noise would pass for a slope.
    """

    MEMORY: Final = 12
    """Batches that an average reaches back."""
    DEVIATIONS: Final = 3.0
    """Mean deviations above the mean at which the 99th percentile of a normal distribution lies, about."""

    WIDE: Final = 5.0
    """Mean deviations from which on a batch is a surprise."""

    __slots__ = (
        "_batches",
        "_covariance",
        "_deviation",
        "_seconds",
        "_size",
        "_surprise",
        "_variance",
        "fixed",
        "slope",
    )

    def __init__(self) -> None:
        self.fixed = self.slope = 0.0
        self._batches = 0
        self._size = self._seconds = 0.0
        self._variance = self._covariance = self._deviation = 0.0
        self._surprise = Surprise()

    def observe(self, size: int, seconds: float) -> float | None:
        """A batch of ``size`` queries took ``seconds``; less than ``TICK`` counts as that.

        Returns by how much all batches are now thought to take longer than before, or None if this one was set aside
        as a hiccup.
        """
        seconds = max(seconds, TICK)
        if self._batches == 0:
            self._learn(size, seconds)
            return 1.0
        change = self._surprise.judge(self._ratio(size, seconds), self._ordinary())
        if change is None:
            return None
        self._seconds *= change
        self._covariance *= change
        ratio = seconds / (change * self.predict(size))
        self._deviation += (min(1.0, abs(ratio - 1.0)) - self._deviation) / self.MEMORY
        self._learn(size, seconds)
        return change

    def _ratio(self, size: int, seconds: float) -> float:
        """Seconds taken / expected; 1 for all that some line through the averages could explain."""
        flat, proportional = self._seconds, self._seconds * size / self._size
        ordinary = self._ordinary()
        if min(flat, proportional) / ordinary <= seconds <= max(flat, proportional) * ordinary:
            return 1.0
        return seconds / self.predict(size)

    def _ordinary(self) -> float:
        return max(ORDINARY, 1.0 + self.WIDE * self._deviation)

    def _learn(self, size: int, seconds: float) -> None:
        self._batches += 1
        weight = 1 / min(self._batches, self.MEMORY)
        away, longer = size - self._size, seconds - self._seconds
        self._size += weight * away
        self._seconds += weight * longer
        if self._batches > 1:
            square = away * away
            weight *= square / (self._variance + square + 0.01 * self._size * self._size)
            self._variance += weight * (square - self._variance)
            self._covariance += weight * (away * longer - self._covariance)
        slope = self._covariance / self._variance if self._variance else 0.0
        self.slope = min(max(0.0, slope), self._seconds / self._size)
        self.fixed = self._seconds - self.slope * self._size

    def predict(self, size: int) -> float:
        """Expected seconds for a batch of ``size``; 0.0 before anything was observed.

        From batches of one size nobody can tell what another would take. Until it was tried it is hoped to take no
        longer: a replica that was thought too slow for a larger batch would never be given one.
        """
        return self.fixed + self.slope * size

    def latest(self, size: int) -> float:
        """Seconds within which 99 of 100 batches of ``size`` are done, hiccups aside."""
        return self.predict(size) * (1.0 + self.DEVIATIONS * self._deviation)


class Overhead:
    """Seconds that an answer takes beside the work on it: the ways there and back, and what keeps this process from
    seeing to it at once. ``high`` is what 99 of 100 don't exceed."""

    MEMORY: Final = 64
    """Batches that the averages reach back."""

    __slots__ = ("_batches", "_deviation", "_mean", "high")

    def __init__(self) -> None:
        self._batches = 0
        self._mean = self._deviation = 0.0
        self.high = 0.0

    def observe(self, seconds: float) -> None:
        self._batches += 1
        weight = 1 / min(self._batches, self.MEMORY)
        self._mean += weight * (seconds - self._mean)
        self._deviation += weight * (abs(seconds - self._mean) - self._deviation)
        self.high = self._mean + LatencyModel.DEVIATIONS * self._deviation
