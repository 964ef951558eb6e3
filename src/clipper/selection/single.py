"""The default policy: the one linked model answers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from clipper.selection.policy import Choice, Combined
from clipper.types import ModelVersion


class Single:
    """Asks the first of the models given and answers with its output; feedback changes nothing."""

    def init(self, linked: Sequence[str]) -> None:
        return None

    def select(
        self, state: None, data: bytes, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        return (Choice(models[0], 1.0),)

    def combine(self, state: None, data: bytes, outputs: Mapping[ModelVersion, bytes]) -> Combined | None:
        for output in outputs.values():
            return Combined(output, 1.0)
        return None

    def observe(
        self, state: None, data: bytes, choices: Sequence[Choice], losses: Mapping[ModelVersion, float]
    ) -> None:
        return None
