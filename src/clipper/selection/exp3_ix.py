"""Exp3-IX: as Exp3, exploring by what it adds to the probability in the estimate of the loss (Neu 2015, "Explore no
more"), with the learning rate of its Corollary 1 that needs no horizon. Its bound holds with high probability.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

from clipper.selection import answers, odds, params
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion


class State(TypedDict):
    """How many observations there have been, and the estimated sum of losses of each model above the least."""

    seen: float
    losses: dict[str, float]


class Exp3Ix:
    """Asks one model, drawn by weight.

    ``scale`` multiplies the learning rate of the theory, which is meant for models that are wrong half the time:
    those that are mostly right are told apart sooner with a higher one.
    """

    __slots__ = ("_scale",)
    learns: Final = True
    contextual: Final = False

    REACH: Final = 3.0

    def __init__(self, *, scale: object = 3.0) -> None:
        self._scale = params.number("scale", scale, 0.01, 100.0)

    def init(self, models: Sequence[str]) -> State:
        return {"seen": 0, "losses": dict.fromkeys(models, 0.0)}

    def relink(self, state: State, models: Sequence[str]) -> State:
        old = state["losses"]
        kept = [old[name] for name in models if name in old]
        average = math.fsum(kept) / len(kept) if kept else 0.0
        return {"seen": state["seen"], "losses": _above_least({name: old.get(name, average) for name in models})}

    def prior(self, state: State) -> State:
        kept = min(1.0, self.REACH / state["seen"]) if state["seen"] else 1.0
        losses = {name: total * kept for name, total in state["losses"].items()}
        return {"seen": min(state["seen"], self.REACH), "losses": losses}

    def select(
        self, state: State, context: Context, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        return odds.pick(models, odds.of(self.weights(state), models), context.draw)

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
        totals = dict(state["losses"])
        implicit = self._rate(state) / 2.0
        for model, propensity in decision.choices:
            if model.name in totals and model in losses:
                totals[model.name] += losses[model] / (propensity + implicit)
        return {"seen": state["seen"] + 1, "losses": _above_least(totals)}

    def _rate(self, state: State) -> float:
        models = max(len(state["losses"]), 2)
        return self._scale * math.sqrt(math.log(models) / (models * (state["seen"] + 1)))

    def weights(self, state: State) -> dict[str, float]:
        rate = self._rate(state)
        return odds.normalised({name: math.exp(-rate * total) for name, total in state["losses"].items()})


def _above_least(losses: dict[str, float]) -> dict[str, float]:
    # Only the differences matter; kept small, they stay exact however many there have been.
    least = min(losses.values(), default=0.0)
    return {name: total - least for name, total in losses.items()}
