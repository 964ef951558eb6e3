"""Epsilon-greedy: mostly the best model so far, now and then any (Auer, Cesa-Bianchi & Fischer 2002, section 1)."""

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


class EpsilonGreedy:
    """Asks the model with the least mean loss; with the probability ``epsilon`` any, all alike.

    With a ``decay`` above 0 the probability is ``epsilon / (1 + decay * observations)``. A model that was never
    observed counts as one without losses, so that each is tried. Older feedback counts for ``discount`` as much with
    each new one.
    """

    __slots__ = ("_decay", "_discount", "_epsilon")
    learns: Final = True
    contextual: Final = False

    def __init__(self, *, epsilon: object = 0.05, decay: object = 0.0, discount: object = 1.0) -> None:
        self._epsilon = params.number("epsilon", epsilon, 0.0, 1.0)
        self._decay = params.number("decay", decay, 0.0, 1.0)
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
        found = [state.get(name, _UNSEEN) for name in names]
        best = odds.best_of([-total / seen if seen else 0.0 for seen, total in found])
        epsilon = self._epsilon
        if self._decay:
            epsilon /= 1.0 + self._decay * math.fsum(seen for seen, _ in state.values())
        kept, gift = (1.0 - epsilon) / sum(best), epsilon / len(best)
        return [kept * each + gift for each in best]

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
        return odds.normalised(dict(zip(state, self._odds(state, list(state)), strict=True))) if state else {}
