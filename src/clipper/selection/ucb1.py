"""UCB1: the model that could be the best, as far as is known (Auer, Cesa-Bianchi & Fischer 2002, figure 1)."""

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


class Ucb1:
    """Asks the model with the highest mean reward plus ``exploration * sqrt(2 ln observations / its observations)``.

    An ``exploration`` of 1 is that of the paper; half of it is the least with a bound on the regret (Garivier &
    Moulines 2011), and errs less. Models that were never observed come first; until feedback of them has come, and
    wherever several are equal, one of them is drawn, all alike: feedback may be a thousand queries late, and these
    should not all go to one model. With a ``discount`` below 1 older feedback counts for less (Garivier & Moulines
    2011).
    """

    __slots__ = ("_discount", "_exploration")
    learns: Final = True
    contextual: Final = False

    def __init__(self, *, exploration: object = 0.5, discount: object = 1.0) -> None:
        self._exploration = params.number("exploration", exploration, 0.0, 100.0)
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
        return odds.pick(models, self._odds(state, [model.name for model in models]), context.draw)

    def _odds(self, state: Counts, names: Sequence[str]) -> list[float]:
        width = 2.0 * math.log(max(math.fsum(seen for seen, _ in state.values()), 1.0))
        found = [state.get(name, _UNSEEN) for name in names]
        return odds.best_of([self._score(seen, total, width) for seen, total in found])

    def _score(self, seen: float, total: float, width: float) -> float:
        if seen <= 0.0:
            return math.inf
        return 1.0 - total / seen + self._exploration * math.sqrt(width / seen)

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
        return odds.normalised(counts.rewards(state))
