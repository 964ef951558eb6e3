"""What stands in for a policy that can't be made where the queries are: it fails each, and says why."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from clipper.errors import Unavailable
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion


class Unusable:
    """Raises Unavailable with ``cause`` when it is to select."""

    __slots__ = ("_cause",)
    learns: Final = False
    contextual: Final = False

    def __init__(self, cause: str) -> None:
        self._cause = cause

    def init(self, models: Sequence[str]) -> None:
        return None

    def relink(self, state: None, models: Sequence[str]) -> None:
        return None

    def prior(self, state: None) -> None:
        return None

    def select(self, state: None, context: Context, models: Sequence[ModelVersion], rng: random.Random) -> NoReturn:
        raise Unavailable(self._cause)

    def ask_more(
        self, state: None, context: Context, models: Sequence[ModelVersion], outputs: Mapping[ModelVersion, bytes]
    ) -> Sequence[Choice]:
        return ()

    def combine(
        self, state: None, context: Context, outputs: Mapping[ModelVersion, bytes], missing: Sequence[ModelVersion]
    ) -> Combined | None:
        return None

    def observe(
        self, state: None, context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> None:
        return None

    def weights(self, state: None) -> dict[str, float]:
        return {}
