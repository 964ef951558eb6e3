"""A cascade: the first model is asked, and the next only while the answer is not sure enough (after Viola & Jones
2001; for serving, the cascades of Clipper's successors, such as Wang et al. 2017, "IDK cascades").

How sure an answer is follows from how often each model has been right (naive Bayes): an answer right with probability
a against one wrong with 1 - a, and the wrong ones as if they all agreed, which is careful. Models are taken to err
independently of each other, which is not: where they err together, an answer is less sure than it seems.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

from clipper.selection import counts, odds, params
from clipper.selection.combining import Combiner, weigh
from clipper.selection.counts import Counts
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion

_LEAST_WORTH: Final = 1e-3


class Cascade:
    """Asks models in the order of their links, cheap ones first, until the answer is ``confidence`` sure.

    The answer is ``combiner``'s of those asked, each weighed by how much it is worth: the logarithm of its odds to be
    right. Models know no accuracy at first, so that all are asked until the first ones have shown theirs.
    """

    __slots__ = ("_combiner", "_confidence")
    learns: Final = True
    contextual: Final = False

    def __init__(self, combiner: Combiner, *, confidence: object = 0.9) -> None:
        self._combiner = combiner
        self._confidence = params.number("confidence", confidence, 0.0, 1.0)

    def init(self, models: Sequence[str]) -> Counts:
        return counts.none_of(models)

    def relink(self, state: Counts, models: Sequence[str]) -> Counts:
        return counts.relinked(state, models)

    def prior(self, state: Counts) -> Counts:
        return counts.capped(state, counts.REACH)

    def select(
        self, state: Counts, context: Context, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        return (Choice(models[0], 1.0),)

    def ask_more(
        self, state: Counts, context: Context, models: Sequence[ModelVersion], outputs: Mapping[ModelVersion, bytes]
    ) -> Sequence[Choice]:
        left = [model for model in models if model not in outputs]
        known = self.combine(state, context, outputs, ())
        if not left or (known is not None and known.confidence >= self._confidence):
            return ()
        return (Choice(left[0], 1.0),)

    def combine(
        self,
        state: Counts,
        context: Context,
        outputs: Mapping[ModelVersion, bytes],
        missing: Sequence[ModelVersion],
    ) -> Combined | None:
        accuracy = counts.rewards(state)
        combined = self._combiner.combine(_worth(accuracy), outputs, missing)
        if combined is None:
            return None
        asked = weigh(accuracy or {"": 0.5}, outputs)
        agreeing = {model: self._combiner.agree(combined.output, output) for model, output in outputs.items()}
        sure = self._sure(asked, agreeing, outputs)
        late = weigh(accuracy or {"": 0.5}, {*outputs, *missing})
        ceiling = self._sure(late, agreeing | dict.fromkeys(missing, True), outputs) if missing else sure
        return Combined(combined.output, sure, combined.settled, max(sure, ceiling))

    def _sure(
        self,
        accuracy: Mapping[ModelVersion, float],
        agreeing: Mapping[ModelVersion, bool],
        outputs: Mapping[ModelVersion, bytes],
    ) -> float:
        """How probably the answer is right: against each of the other answers, and against none being right."""
        rivals: list[bytes] = []
        for model, output in outputs.items():
            if not agreeing[model] and not any(self._combiner.agree(output, each) for each in rivals):
                rivals.append(output)
        right = wrong = 1.0
        for model, share in accuracy.items():
            right *= share if agreeing[model] else 1.0 - share
            wrong *= 1.0 - share
        for rival in rivals:
            wrong += self._likelihood(rival, accuracy, outputs)
        return right / (right + wrong)

    def _likelihood(
        self, answer: bytes, accuracy: Mapping[ModelVersion, float], outputs: Mapping[ModelVersion, bytes]
    ) -> float:
        product = 1.0
        for model, share in accuracy.items():
            says = model in outputs and self._combiner.agree(answer, outputs[model])
            product *= share if says else 1.0 - share
        return product

    def observe(
        self, state: Counts, context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> Counts:
        return counts.added(state, losses, 1.0)

    def weights(self, state: Counts) -> dict[str, float]:
        return odds.normalised(counts.rewards(state))


def _worth(accuracy: Mapping[str, float]) -> dict[str, float]:
    """What a vote of each model counts for: never less than nothing, though one that is mostly wrong says little."""
    return {name: max(math.log(share / (1.0 - share)), _LEAST_WORTH) for name, share in accuracy.items()}
