"""What a policy's mean loss would be, estimated from queries that another policy decided. Pure; no policy in sight.

Each entry of the log adds three numbers, ``Terms``. ``w`` is 1 / (the probability with which the log asked what the
policy selects) if the log did ask that, else 0; ``l`` is the loss of the policy's answer; ``q`` is a loss predicted
without looking at the entry's feedback.

- IPS, inverse propensity scores (Horvitz & Thompson 1952): the mean of ``w l``. Unbiased; its variance grows with the
  weights.
- SNIPS, the self-normalised one (Swaminathan & Joachims 2015): the sum of ``w l`` over the sum of ``w``. A bias that
  vanishes as 1/n, mostly less variance; never outside the range of the losses.
- DR, doubly robust (Dudik, Langford & Li 2011): the mean of ``q + w (l - q)``. Unbiased whatever ``q`` is if the
  propensities are right, and of less variance the better ``q`` predicts.

All intervals are normal ones, of 95 %: by mean and standard error of the terms for IPS and DR, by the delta method
for the ratio that SNIPS is (Owen, Monte Carlo theory, methods and examples, chapter 9). Nothing is clipped.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Hashable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Z95: Final = 1.959963984540054
PRIOR_LOSS: Final = 0.5
"""Predicted of what has no feedback yet."""

Values = NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean loss and its standard error, which is NaN where there are less than two entries."""

    value: float
    error: float

    @property
    def low(self) -> float:
        return self.value - Z95 * self.error

    @property
    def high(self) -> float:
        return self.value + Z95 * self.error


class Terms:
    """What each entry adds to the estimates of one policy, in the log's order.

    Of a policy that is replayed with several seeds, each number is the average over them: the entries are the sample,
    the seeds only take out what the policy's own draws add.
    """

    __slots__ = ("_robust", "_weighted", "_weights")

    def __init__(self) -> None:
        self._weights = array("d")
        self._weighted = array("d")
        self._robust = array("d")

    def add(self, weight: float, weighted: float, robust: float) -> None:
        """One entry: ``w``, ``w l`` and ``q + w (l - q)``."""
        self._weights.append(weight)
        self._weighted.append(weighted)
        self._robust.append(robust)

    @property
    def weights(self) -> Values:
        return np.array(self._weights)

    @property
    def weighted(self) -> Values:
        return np.array(self._weighted)

    @property
    def robust(self) -> Values:
        return np.array(self._robust)


def mean(values: Values) -> Estimate:
    """Mean of independent values, with the standard error of the mean."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Estimate(float(values.mean()), error)


def ips(terms: Terms) -> Estimate:
    return mean(terms.weighted)


def snips(terms: Terms) -> Estimate:
    """NaN if no weight is above 0."""
    weights, weighted, count = terms.weights, terms.weighted, len(terms.weights)
    total = float(weights.sum())
    if total == 0.0:
        return Estimate(math.nan, math.nan)
    value = float(weighted.sum()) / total
    if count < 2:
        return Estimate(value, math.nan)
    spread = float(np.square(weighted - value * weights).sum()) * count / (count - 1)
    return Estimate(value, math.sqrt(spread) / total)


def doubly_robust(terms: Terms) -> Estimate:
    return mean(terms.robust)


def effective_size(weights: Values) -> float:
    """How many entries of equal weight would tell as much (Kish 1965)."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0


def running(values: Values) -> tuple[Values, Values]:
    """The mean of the values so far, and half the width of its 95 % interval, after each of them."""
    counts = np.arange(1, len(values) + 1, dtype=np.float64)
    means = np.cumsum(values) / counts
    squares = np.cumsum(np.square(values - values.mean()))  # about the last mean: no cancellation
    variances = np.maximum(squares / counts - np.square(means - values.mean()), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return means, Z95 * np.sqrt(variances / (counts - 1.0))


class Averages:
    """The mean loss of each of many things so far: the ``q`` of DR, since it knows only the entries before."""

    __slots__ = ("_counts", "_sums")

    def __init__(self) -> None:
        self._sums: dict[Hashable, float] = {}
        self._counts: dict[Hashable, int] = {}

    def add(self, name: Hashable, loss: float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + loss
        self._counts[name] = self._counts.get(name, 0) + 1

    def of(self, name: Hashable) -> float:
        return self._sums[name] / self._counts[name] if name in self._counts else PRIOR_LOSS
