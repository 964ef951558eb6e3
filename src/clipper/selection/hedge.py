"""Hedge: every model is asked, and every model's loss is known when the label comes (Freund & Schapire 1997).

Two things are added. A share of all weight is handed out evenly at each step (Herbster & Warmuth 1998, "Tracking the
best expert"), so that a model that failed is trusted again soon after it recovers. A model whose loss is not known
keeps its part of the weight: it sleeps (Freund, Schapire, Singer & Warmuth 1997).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

from clipper.selection import odds, params
from clipper.selection.combining import Combiner
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion


class State(TypedDict):
    """How many observations there have been, and the weight of each model."""

    seen: float
    weights: dict[str, float]


class Hedge:
    """Answers what ``combiner`` makes of all outputs by weight; a loss multiplies a weight by ``exp(-eta * loss)``.

    The first observations count for more: the rate is ``sqrt(8 ln models / seen)`` (Cesa-Bianchi & Lugosi 2006,
    section 2.3) until that is below ``eta``. ``share`` is the part of the weight handed out evenly with each
    feedback.
    """

    __slots__ = ("_combiner", "_eta", "_share")
    learns: Final = True
    contextual: Final = False

    REACH: Final = 1.0

    def __init__(self, combiner: Combiner, *, eta: object = 0.2, share: object = 1e-3) -> None:
        self._combiner = combiner
        self._eta = params.number("eta", eta, 1e-6, 10.0)
        self._share = params.number("share", share, 1e-9, 0.5)

    def init(self, models: Sequence[str]) -> State:
        return {"seen": 0, "weights": odds.equal(models)}

    def relink(self, state: State, models: Sequence[str]) -> State:
        return {"seen": state["seen"], "weights": odds.relinked(state["weights"], models)}

    def prior(self, state: State) -> State:
        return {"seen": 0, "weights": odds.shrunk(state["weights"], self.REACH)}

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
        return self._combiner.combine(state["weights"], outputs, missing)

    def observe(
        self, state: State, context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> State:
        known = odds.by_name(losses, state["weights"])
        if not known:
            return state
        eta = max(self._eta, math.sqrt(8.0 * math.log(max(len(state["weights"]), 2)) / (state["seen"] + 1)))
        weights = odds.shared(odds.punished(state["weights"], known, eta), self._share)
        return {"seen": state["seen"] + 1, "weights": weights}

    def weights(self, state: State) -> dict[str, float]:
        return odds.normalised(state["weights"])
