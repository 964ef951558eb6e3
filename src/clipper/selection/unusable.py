"""What stands in for a policy that can't be made where the queries are: it fails each, says why, and learns nothing.

What the policy has learned stays as it is, for when it is back.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from clipper.errors import Unavailable
from clipper.selection.policy import Choice, Combined, Context, Decision, State
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

    def relink(self, state: State, models: Sequence[str]) -> State:
        return state

    def prior(self, state: State) -> State:
        return state

    def select(self, state: State, context: Context, models: Sequence[ModelVersion], rng: random.Random) -> NoReturn:
        raise Unavailable(self._cause)

    def ask_more(
        self, state: State, context: Context, models: Sequence[ModelVersion], outputs: Mapping[ModelVersion, bytes]
    ) -> Sequence[Choice]:
        return ()

    def combine(
        self, state: State, context: Context, outputs: Mapping[ModelVersion, bytes], missing: Sequence[ModelVersion]
    ) -> Combined | None:
        return None

    def observe(
        self, state: State, context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> State:
        return state

    def weights(self, state: State) -> dict[str, float]:
        return {}
