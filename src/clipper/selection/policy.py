"""What a selection policy is: four pure functions on a state value (the paper, section 5)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from clipper.types import ModelVersion


class Choice(NamedTuple):
    """A model to ask, and the probability with which the policy chose it."""

    model: ModelVersion
    propensity: float


class Combined(NamedTuple):
    """The answer made of the outputs, a JSON text, and the share of the models' weight that agrees with it."""

    output: bytes
    confidence: float


class SelectionPolicy(Protocol):
    """Decides which models answer a query. ``S`` below is the policy's state: a value, never changed in place."""

    def init(self, linked: Sequence[str]) -> Any:
        """The state before any feedback of an application that is linked to these models, in this order."""
        ...

    def select(self, state: Any, data: bytes, models: Sequence[ModelVersion], rng: random.Random) -> Sequence[Choice]:
        """The models to ask, out of the linked ones (never empty); ``data`` is the input."""
        ...

    def combine(self, state: Any, data: bytes, outputs: Mapping[ModelVersion, bytes]) -> Combined | None:
        """The answer from the outputs that have come, or None if they are not enough for one."""
        ...

    def observe(
        self, state: Any, data: bytes, choices: Sequence[Choice], losses: Mapping[ModelVersion, float]
    ) -> Any:
        """The state after feedback: the loss, in [0, 1], of each model whose output is known."""
        ...
