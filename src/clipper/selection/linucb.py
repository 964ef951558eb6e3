"""LinUCB: the model that could be the best for this input (Li, Chu, Langford & Schapire 2010, algorithm 1, disjoint).

Each model's reward is taken to be linear in the features of the input. The inverse of its matrix is kept, and brought
up to date by Sherman and Morrison's formula (1950), which costs ``dimensions`` squared.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

import numpy as np
import numpy.typing as npt

from clipper.selection import answers, counts, odds, params
from clipper.selection.features import DTYPES, Vector, vector
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion

Matrix = npt.NDArray[np.floating[Any]]


class Arm(TypedDict):
    """What is known of a model: float64 numbers, the ``inverse`` of its matrix row by row, and its ``rewards``."""

    seen: float
    inverse: bytes
    rewards: bytes


State = dict[str, Arm]


class LinUcb:
    """Asks the model with the highest estimated reward plus ``alpha`` standard deviations; of equals, any.

    Inputs have at most ``dimensions`` features; longer ones are hashed (``clipper.selection.features``).
    """

    __slots__ = ("_alpha", "_size")
    learns: Final = True
    contextual: Final = True

    REACH: Final = 10.0

    def __init__(self, input_type: str, *, alpha: object = 0.5, dimensions: object = 32) -> None:
        if input_type not in DTYPES:
            raise ValueError(
                f"inputs of the type {input_type} have no features to go by: "
                f"it is for applications of {', '.join(DTYPES)}"
            )
        self._alpha = params.number("alpha", alpha, 0.0, 100.0)
        self._size = params.whole("dimensions", dimensions, 1, 256) + 1

    def init(self, models: Sequence[str]) -> State:
        return {name: self._new() for name in models}

    def _new(self) -> Arm:
        return {"seen": 0.0, "inverse": np.eye(self._size).tobytes(), "rewards": bytes(8 * self._size)}

    def relink(self, state: State, models: Sequence[str]) -> State:
        kept = [state[name] for name in models if name in state and state[name]["seen"] > 0]
        return {name: state[name] if name in state else self._average(kept) for name in models}

    def _average(self, arms: Sequence[Arm]) -> Arm:
        """A model as good as these are on average, as of one observation."""
        if not arms:
            return self._new()
        parts = [self._faded(arm, min(1.0, 1.0 / arm["seen"])) for arm in arms]
        matrix: Matrix = np.sum([matrix for matrix, _ in parts], axis=0) / len(parts)
        rewards = np.sum([rewards for _, rewards in parts], axis=0) / len(parts)
        return _arm(1.0, np.linalg.inv(matrix), rewards)

    def prior(self, state: State) -> State:
        return {name: self._shrunk(arm) for name, arm in state.items()}

    def _shrunk(self, arm: Arm) -> Arm:
        if arm["seen"] <= self.REACH:
            return arm
        matrix, rewards = self._faded(arm, self.REACH / arm["seen"])
        return _arm(self.REACH, np.linalg.inv(matrix), rewards)

    def _faded(self, arm: Arm, factor: float) -> tuple[Matrix, Matrix]:
        """The matrix and the rewards, as if what was observed had counted for ``factor`` as much."""
        inverse, rewards = self._read(arm)
        one = np.eye(self._size)
        return one + (np.linalg.inv(inverse) - one) * factor, rewards * factor

    def _read(self, arm: Arm) -> tuple[Matrix, Matrix]:
        return np.frombuffer(arm["inverse"]).reshape(self._size, self._size), np.frombuffer(arm["rewards"])

    def select(
        self, state: State, context: Context, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        if len(models) == 1:
            return (Choice(models[0], 1.0),)
        x = vector(context.data, context.input_type, self._size - 1)
        return odds.pick(
            models, odds.best_of([self._score(state.get(each.name), x) for each in models]), context.draw
        )

    def _score(self, arm: Arm | None, x: Vector) -> float:
        inverse, rewards = self._read(self._new() if arm is None else arm)
        towards = inverse @ x
        return float(towards @ rewards) + self._alpha * math.sqrt(max(float(x @ towards), 0.0))

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
        known = odds.by_name(losses, state)
        if not known:
            return state
        x = vector(context.data, context.input_type, self._size - 1)
        return state | {name: self._taught(state[name], x, 1.0 - loss) for name, loss in known.items()}

    def _taught(self, arm: Arm, x: Vector, reward: float) -> Arm:
        inverse, rewards = self._read(arm)
        towards = inverse @ x
        # Symmetric by construction: the outer product of a vector with itself.
        inverse = inverse - np.outer(towards, towards) / (1.0 + float(x @ towards))
        return _arm(arm["seen"] + 1.0, inverse, rewards + reward * x)

    def weights(self, state: State) -> dict[str, float]:
        """By the mean reward, whatever the input."""
        seen = {name: [arm["seen"], arm["seen"] - self._rewarded(arm)] for name, arm in state.items()}
        return odds.normalised(counts.rewards(seen))

    def _rewarded(self, arm: Arm) -> float:
        # The last feature is the constant 1: its sum is that of the rewards.
        total: float = struct.unpack_from("<d", arm["rewards"], 8 * (self._size - 1))[0]
        return total


def _arm(seen: float, inverse: Matrix, rewards: Matrix) -> Arm:
    return {"seen": seen, "inverse": inverse.tobytes(), "rewards": rewards.tobytes()}
