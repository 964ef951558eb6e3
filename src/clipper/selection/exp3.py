"""Exp3: one model asked, drawn by weights that importance-weighted losses bring down (Auer, Cesa-Bianchi, Freund &
Schapire 2002, in the form of the Clipper paper, section 5.1).

Plain Exp3 brings a weight down to 1e-19 within a few thousand queries and cannot come back when the model recovers:
so a small share of all weight is handed out evenly at each step, as in the paper's Exp3.S. Each weight stays above
``share / models``, which keeps importance weights bounded and every number finite.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

from clipper.selection import answers, odds, params
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion

State = dict[str, float]
"""The weight of each model."""


class Exp3:
    """Asks one model, drawn by weight; its own loss, divided by how probable it was to be drawn, lowers its weight.

    ``eta`` is the learning rate, ``share`` the part of the weight that is handed out evenly with each feedback.
    """

    __slots__ = ("_eta", "_share")
    learns: Final = True
    contextual: Final = False

    REACH: Final = 6.0  # a user's own feedback is about one model at a time: what all know must carry further

    def __init__(self, *, eta: object = 0.05, share: object = 1e-5) -> None:
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
        return odds.pick(models, odds.of(state, models), context.draw)

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
        return answers.first(outputs, missing)

    def observe(
        self, state: State, context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> State:
        weights = dict(state)
        for model, propensity in decision.choices:
            if model.name in weights and model in losses:
                weights[model.name] *= math.exp(-self._eta * losses[model] / propensity)
        return odds.shared(odds.normalised(weights), self._share)

    def weights(self, state: State) -> dict[str, float]:
        return odds.normalised(state)
