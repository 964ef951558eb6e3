"""The ensembles that need no feedback: every linked model is asked, and all count the same."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

from clipper.selection import odds
from clipper.selection.combining import Combiner, Vote
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion


class Unweighted:
    """Answers what ``combiner`` makes of all outputs, each with the same weight.

    With ``Vote`` that is what most models say; of outputs with as many votes, that of the model which was linked
    first. The confidence is the share of the models asked that agree with the answer. The state is the names of the
    linked models; feedback changes nothing.
    """

    __slots__ = ("_combiner",)
    learns: Final = False
    contextual: Final = False

    def __init__(self, combiner: Combiner) -> None:
        self._combiner = combiner

    def init(self, models: Sequence[str]) -> list[str]:
        return list(models)

    def relink(self, state: list[str], models: Sequence[str]) -> list[str]:
        return list(models)

    def prior(self, state: list[str]) -> list[str]:
        return state

    def select(
        self, state: list[str], context: Context, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        return [Choice(model, 1.0) for model in models]

    def ask_more(
        self,
        state: list[str],
        context: Context,
        models: Sequence[ModelVersion],
        outputs: Mapping[ModelVersion, bytes],
    ) -> Sequence[Choice]:
        return ()

    def combine(
        self,
        state: list[str],
        context: Context,
        outputs: Mapping[ModelVersion, bytes],
        missing: Sequence[ModelVersion],
    ) -> Combined | None:
        return self._combiner.combine(dict.fromkeys(state, 1.0), outputs, missing)

    def observe(
        self, state: list[str], context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> list[str]:
        return state

    def weights(self, state: list[str]) -> dict[str, float]:
        return odds.equal(state)


def MajorityVote() -> Unweighted:
    return Unweighted(Vote())
