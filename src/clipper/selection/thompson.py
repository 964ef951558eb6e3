"""Thompson sampling: each model is asked as often as it is probably the best (Thompson 1933; Chapelle & Li 2011).

What is believed of a model's mean reward is a Beta distribution. The usual way is to draw a mean from each and to ask
the highest; but then nobody knows how probable the choice was, which offline evaluation needs. Here the probabilities
themselves are worked out, with a normal distribution of the same mean and variance in the place of each Beta, and one
model is drawn by them: the same odds, and known.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

from clipper.selection import answers, counts, odds, params
from clipper.selection.counts import Counts
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion

_UNSEEN: Final = (0.0, 0.0)

# Gauss-Hermite quadrature of a standard normal variable: where to look, and what that counts for.
_NODES: Final = (
    (-4.859462828332312, 4.310652630718287e-06),
    (-3.581823483551927, 0.0007580709343122177),
    (-2.484325841638954, 0.01911158050077027),
    (-1.4659890943911577, 0.1354837029802677),
    (-0.4849357075154976, 0.34464233493201907),
    (0.4849357075154976, 0.34464233493201907),
    (1.4659890943911577, 0.1354837029802677),
    (2.484325841638954, 0.01911158050077027),
    (3.581823483551927, 0.0007580709343122177),
    (4.859462828332312, 4.310652630718287e-06),
)
_ROOT_HALF: Final = math.sqrt(0.5)


class Thompson:
    """Asks one model, drawn by how probably it is the best.

    Losses between 0 and 1 count in part as a loss and in part as a reward. With a ``discount`` below 1 older feedback
    counts for less, for models that change (Raj & Kalyani 2017): 0.999 remembers about a thousand observations.
    """

    __slots__ = ("_discount",)
    learns: Final = True
    contextual: Final = False

    def __init__(self, *, discount: object = 1.0) -> None:
        self._discount = params.number("discount", discount, 0.9, 1.0)

    def init(self, models: Sequence[str]) -> Counts:
        return counts.none_of(models)

    def relink(self, state: Counts, models: Sequence[str]) -> Counts:
        return counts.relinked(state, models)

    def prior(self, state: Counts) -> Counts:
        return counts.capped(state, counts.REACH)

    def select(
        self, state: Counts, context: Context, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        if len(models) == 1:
            return (Choice(models[0], 1.0),)
        return odds.pick(models, _best_of([state.get(model.name, _UNSEEN) for model in models]), context.draw)

    def ask_more(
        self, state: Counts, context: Context, models: Sequence[ModelVersion], outputs: Mapping[ModelVersion, bytes]
    ) -> Sequence[Choice]:
        return ()

    def combine(
        self,
        state: Counts,
        context: Context,
        outputs: Mapping[ModelVersion, bytes],
        missing: Sequence[ModelVersion],
    ) -> Combined | None:
        return answers.first(outputs, missing)

    def observe(
        self, state: Counts, context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> Counts:
        return counts.added(state, losses, self._discount)

    def weights(self, state: Counts) -> dict[str, float]:
        return odds.normalised(dict(zip(state, _best_of(list(state.values())), strict=True)))


def _best_of(found: Sequence[Sequence[float]]) -> list[float]:
    """How probable it is of each that its mean reward is the highest."""
    believed = [_belief(seen, total) for seen, total in found]
    if len(believed) == 2:
        (one, var_one), (other, var_other) = believed
        first = _normal((one - other) / math.sqrt(var_one + var_other))
        return [first, 1.0 - first]
    spread = [(mean, math.sqrt(variance)) for mean, variance in believed]
    return [_is_best(place, spread) for place in range(len(spread))]


def _belief(seen: float, total: float) -> tuple[float, float]:
    """The mean and the variance of ``Beta(1 + rewards, 1 + losses)``."""
    weight = seen + 2.0
    mean = (seen - total + 1.0) / weight
    return mean, mean * (1.0 - mean) / (weight + 1.0)


def _is_best(place: int, spread: list[tuple[float, float]]) -> float:
    mean, deviation = spread[place]
    others = [each for other, each in enumerate(spread) if other != place]
    probability = 0.0
    for node, weight in _NODES:
        at = mean + deviation * node
        for other, width in others:
            weight *= _normal((at - other) / width)
        probability += weight
    return probability


def _normal(x: float) -> float:
    """The share of a standard normal distribution below ``x``."""
    return 0.5 * math.erfc(-x * _ROOT_HALF)
