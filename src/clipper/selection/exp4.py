"""Exp4: every model is asked, one label is drawn by the weight behind it, and the loss of that label alone teaches
(Auer, Cesa-Bianchi, Freund & Schapire 2002, in the form of the Clipper paper, section 5.2).

As with ``Exp3``, a small share of all weight is handed out evenly at each step, so that no model is lost for good.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import fsum
from typing import Final

from clipper.selection import odds, params
from clipper.selection.combining import Combiner, unanimous, weigh
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion

State = dict[str, float]
"""The weight of each model."""


class Exp4:
    """Answers the output of a model drawn by weight: so a label is drawn with the weight ``q`` of all that say it.

    Each model that says what was answered is charged with its loss divided by ``q``. Models say the same as
    ``combiner`` has it: the same label, or numbers that are near. If the default was answered, nothing was drawn, and
    each model is charged with its own loss, which is what the other would be on average. ``eta`` is the learning
    rate, ``share`` the part of the weight handed out evenly.
    """

    __slots__ = ("_combiner", "_eta", "_share")
    learns: Final = True
    contextual: Final = False

    REACH: Final = 1.0

    def __init__(self, combiner: Combiner, *, eta: object = 0.2, share: object = 1e-5) -> None:
        self._combiner = combiner
        self._eta = params.number("eta", eta, 1e-6, 10.0)
        self._share = params.number("share", share, 1e-9, 0.5)

    def init(self, models: Sequence[str]) -> State:
        return odds.equal(models)

    def relink(self, state: State, models: Sequence[str]) -> State:
        return odds.relinked(state, models)

    def prior(self, state: State) -> State:
        return odds.shrunk(state, self.REACH)

    def select(
        self, state: State, context: Context, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        return [Choice(model, 1.0) for model in models]

    def ask_more(
        self, state: State, context: Context, models: Sequence[ModelVersion], outputs: Mapping[ModelVersion, bytes]
    ) -> Sequence[Choice]:
        return ()

    def combine(
        self,
        state: State,
        context: Context,
        outputs: Mapping[ModelVersion, bytes],
        missing: Sequence[ModelVersion],
    ) -> Combined | None:
        if not missing and (only := unanimous(outputs)) is not None:
            return Combined(only, 1.0, True, 1.0)
        if not outputs:
            return None
        asked = weigh(state, {*outputs, *missing})
        drawn = odds.pick(list(asked), list(asked.values()), context.draw)[0].model
        settled = drawn in outputs
        if not settled:  # it may still come; meanwhile, and if it never does, one of the others
            come = [model for model in asked if model in outputs]
            drawn = odds.pick(come, [asked[model] or 1e-300 for model in come], context.draw)[0].model
        answer = outputs[drawn]
        total = fsum(asked.values())
        same = fsum(asked[model] for model, output in outputs.items() if self._combiner.agree(answer, output))
        late = fsum(weight for model, weight in asked.items() if model not in outputs)
        return Combined(answer, min(same / total, 1.0), settled or not missing, min((same + late) / total, 1.0))

    def observe(
        self, state: State, context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> State:
        known = odds.by_name(losses, state)
        if decision.answer is not None:
            known = self._charged(state, decision, decision.answer, known)
        return odds.shared(odds.punished(state, known, self._eta), self._share) if known else state

    def _charged(
        self, state: State, decision: Decision, answer: bytes, known: Mapping[str, float]
    ) -> dict[str, float]:
        """The estimated loss of each model: none of one that said something else, all of one that failed."""
        says = {each.name for each, output in decision.outputs.items() if self._combiner.agree(answer, output)}
        came = {each.name for each in decision.outputs} & state.keys()
        behind = fsum(state[name] for name in came & says) / (fsum(state[name] for name in came) or 1.0)
        # The confidence is of the time of the decision, but what came after it may have been behind the answer, too.
        q = max(decision.confidence, behind, self._share / max(len(state), 1))
        return {name: known[name] / q if name in says else known[name] * (name not in came) for name in known}

    def weights(self, state: State) -> dict[str, float]:
        return odds.normalised(state)
