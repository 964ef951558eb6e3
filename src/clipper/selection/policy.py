"""What a selection policy is: pure functions on a state value (the paper, section 5).

Four of them every policy has: ``init``, ``select``, ``combine``, ``observe``. The rest have a plain meaning that a
policy of a user's own can leave to Clipper (``clipper.selection.custom``).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from clipper.types import ModelVersion

State = Any
"""What a policy has learned: a value of dicts (by str), lists, tuples, str, bytes, numbers, bools and None, for it is
kept as MessagePack. It is never changed in place: what was read goes on being what it was."""


class Context(NamedTuple):
    """What a policy is told of a query.

    ``data`` is the input as the models get it, of ``input_type`` (``doubles``: little-endian float64, and so on);
    ``user`` is empty if the query names none; ``draw`` is a number in [0, 1), drawn once for the query.
    """

    data: bytes
    input_type: str
    user: str
    draw: float


class Choice(NamedTuple):
    """A model to ask, and the probability with which the policy chose it."""

    model: ModelVersion
    propensity: float


class Combined(NamedTuple):
    """The answer made of the outputs, a JSON text, and the share of the models' weight that is known to agree.

    ``settled``: no output that is missing can change the answer. ``ceiling``: the confidence if all that are missing
    agree.
    """

    output: bytes
    confidence: float
    settled: bool = False
    ceiling: float = 1.0


class Decision(NamedTuple):
    """What was decided about a query, as of the time of its answer.

    ``choices`` are the models asked, ``outputs`` what they said, by the time of the feedback; ``answer`` the output
    answered (None: the default) and ``confidence`` its.
    """

    choices: Sequence[Choice]
    outputs: Mapping[ModelVersion, bytes]
    answer: bytes | None
    confidence: float


class SelectionPolicy(Protocol):
    """Decides which models answer a query. It never changes: what it learns is in the state.

    ``learns``: whether feedback changes the state; ``contextual``: whether ``observe`` reads the context's ``data``.
    Models are known by name: a new version of one goes on with the old one's weight.
    """

    @property
    def learns(self) -> bool: ...

    @property
    def contextual(self) -> bool: ...

    def init(self, models: Sequence[str]) -> State:
        """The state before any feedback of an application that is linked to these models, in this order."""
        ...

    def relink(self, state: State, models: Sequence[str]) -> State:
        """The state once these are the linked models: a new one starts at the average, one that left has no trace."""
        ...

    def prior(self, state: State) -> State:
        """Where a user without feedback starts when ``state`` is everybody's: shrunk, so that he soon has his own."""
        ...

    def select(
        self, state: State, context: Context, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        """The models to ask, out of the linked ones; none, if there is none that it would ask."""
        ...

    def ask_more(
        self, state: State, context: Context, models: Sequence[ModelVersion], outputs: Mapping[ModelVersion, bytes]
    ) -> Sequence[Choice]:
        """The models to ask as well, out of those not asked yet, now that those asked have all answered or failed."""
        ...

    def combine(
        self,
        state: State,
        context: Context,
        outputs: Mapping[ModelVersion, bytes],
        missing: Sequence[ModelVersion],
    ) -> Combined | None:
        """The answer from the outputs that have come, or None if they are not enough for one.

        ``missing`` are the models that were asked and have not answered; some may still.
        """
        ...

    def observe(
        self, state: State, context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> State:
        """The state after feedback: the loss, in [0, 1], of each model asked; 1 for one that gave no output."""
        ...

    def weights(self, state: State) -> dict[str, float]:
        """How far each model is trusted, for people to read; they add up to 1."""
        ...
