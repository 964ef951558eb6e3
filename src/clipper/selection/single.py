"""The default policy: the one linked model answers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

from clipper.selection import answers
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion


class Single:
    """Asks the first of the models given and answers with its output; feedback changes nothing."""

    __slots__ = ()
    learns: Final = False
    contextual: Final = False

    def init(self, models: Sequence[str]) -> list[str]:
        return list(models)

    def relink(self, state: list[str], models: Sequence[str]) -> list[str]:
        return list(models)

    def prior(self, state: list[str]) -> list[str]:
        return state

    def select(
        self, state: list[str], context: Context, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        return (Choice(models[0], 1.0),)

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
        return answers.first(outputs, missing)

    def observe(
        self, state: list[str], context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> list[str]:
        return state

    def weights(self, state: list[str]) -> dict[str, float]:
        return {name: float(place == 0) for place, name in enumerate(state)}
