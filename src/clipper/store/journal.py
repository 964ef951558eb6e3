"""What is kept of feedback: the decisions it may come for, the feedback itself, and what was learned of it.

The feedback of a cluster has one order, that in which it was written. Every frontend goes through it in that order,
and a policy is a pure function: so all come to the same states, whoever accepted the feedback, and none is lost. A
state that is kept says how far it goes; one that goes further takes the place of one that does not.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from clipper.types import ModelVersion

DECISION_SECONDS = 3600.0
"""How long feedback by query id is possible."""

DECISIONS_KEPT = 1_000_000
wall_clock = time.time
"""Stamps decisions and feedback, in seconds since the epoch; deadlines go by another."""

FEEDBACK_KEPT = 2 * DECISIONS_KEPT
"""Twice as much: so that feedback is remembered, and not taken again, for as long as its decision is."""


def journal_path(store: str) -> str:
    """Where the journal of the cluster is whose registry is in the file ``store``."""
    return f"{store}.journal"


class DecisionRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A decision as it is kept, and handed on with its feedback.

    ``at`` is when it was made (seconds since the epoch); ``epoch`` that of the policy (``Application.policy_epoch``);
    ``linked`` the models linked when its feedback came, ``asked`` those asked with their propensities, ``shadows``
    those asked beside them; ``outputs`` JSON texts, of models that gave one; ``answer`` is None if the default was
    answered; ``data`` the input, if the policy wants to see it again, else empty.
    """

    query_id: int
    app: str
    user: str
    at: float
    epoch: int
    linked: tuple[str, ...]
    asked: tuple[tuple[ModelVersion, float], ...]
    shadows: tuple[ModelVersion, ...]
    outputs: dict[str, bytes]
    answer: bytes | None
    confidence: float
    draw: float
    data: bytes = b""


class KeptDecision(NamedTuple):
    """A decision as it is kept: its ``record`` is opened with ``open_decision``."""

    query_id: int
    at: float
    record: bytes


_read_decision = msgspec.msgpack.Decoder(DecisionRecord).decode


def keep_decision(decision: DecisionRecord) -> KeptDecision:
    return KeptDecision(decision.query_id, decision.at, msgspec.msgpack.encode(decision))


def open_decision(kept: KeptDecision) -> DecisionRecord:
    return _read_decision(kept.record)


class Feedback(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Accepted feedback: what was decided, and how well each model did. Outputs and losses are by ``name:version``.

    ``label`` is a JSON text, None if a loss was given instead; ``loss`` that of what was answered, None if that was
    the default output. ``forget``: no feedback, but the order to forget the user, or without one what is known of the
    decision's ``linked`` models, at this place of the order.
    """

    decision: DecisionRecord
    at: float
    label: bytes | None
    losses: dict[str, float]
    loss: float | None
    forget: bool = False


def order_to_forget(app: str, at: float, models: Sequence[str] = ()) -> Feedback:
    """What tells frontends to forget a user, who is named beside it, or models."""
    nothing = DecisionRecord(0, app, "", at, 0, tuple(models), (), (), {}, None, 0.0, 0.0)
    return Feedback(nothing, at, None, {}, None, forget=True)


class Entry(NamedTuple):
    """Feedback at its place in the order: positions grow, from 1, and none is given twice."""

    position: int
    feedback: Feedback


_read_feedback = msgspec.msgpack.Decoder(Feedback).decode


def keep_feedback(feedback: Feedback) -> bytes:
    """As it is kept, for ``open_entry``: without its user, who is kept beside it, where he can be forgotten."""
    if feedback.decision.user:
        feedback = replace(feedback, decision=replace(feedback.decision, user=""))
    return msgspec.msgpack.encode(feedback)


def open_entry(position: int, user: str, record: bytes) -> Entry:
    feedback = _read_feedback(record)
    if user:
        feedback = replace(feedback, decision=replace(feedback.decision, user=user))
    return Entry(position, feedback)


def without_user(decision: DecisionRecord, app: str, user: str) -> DecisionRecord:
    """The decision, nameless if it is about this user of the application."""
    return replace(decision, user="") if (decision.app, decision.user) == (app, user) else decision


class StateKey(NamedTuple):
    """Whose state: ``user`` is empty for everybody's."""

    app: str
    user: str


class StoredState(msgspec.Struct, frozen=True, array_like=True):
    """``state`` is what feedback up to ``position``, and given under the policy of ``epoch``, has taught."""

    epoch: int
    position: int
    state: Any


class Journal(Protocol):
    """Durable, and shared by the frontends of a cluster. Methods block and raise StoreError; one thread at a time."""

    def append(self, feedback: Sequence[Feedback]) -> list[bool]:
        """Writes feedback, durably once this returns; False for what a query id had been given before."""
        ...

    def read(self, after: int, limit: int) -> list[Entry]:
        """Feedback beyond a position, in order, at most ``limit``."""
        ...

    def changed(self) -> bool:
        """Whether anybody else has written since this was last asked. Cheap enough for 20 Hz."""
        ...

    def lost(self) -> bool:
        """Whether the feedback that was read last is gone: the journal was put back to an earlier state.

        Then others may be given positions that were gone through here already: all is to be gone through again, from
        the states that are kept, and none of those known here is to be kept. True until ``accept_loss``.
        """
        ...

    def accept_loss(self) -> None:
        """What the journal holds now is all there is."""
        ...

    def remember(self, decisions: Sequence[KeptDecision]) -> None:
        """Keeps decisions, whose ids ascend and come from one frontend, for ``DECISION_SECONDS``."""
        ...

    def recall(self, query_id: int) -> DecisionRecord | None:
        """The decision about a query, if it is (still) kept, or feedback on it is."""
        ...

    def load(self, keys: Iterable[StateKey]) -> dict[StateKey, StoredState]:
        """The states that are kept of these."""
        ...

    def save(self, states: Mapping[StateKey, StoredState], checkpoint: int) -> None:
        """Keeps states, each unless one that goes further is kept; then all that is kept goes to ``checkpoint``."""
        ...

    def checkpoint(self) -> int:
        """The position up to which every state is kept: from there on feedback is to be gone through."""
        ...

    def forget_user(self, app: str, user: str) -> None:
        """Ends a user: his state goes, his feedback and decisions lose his name, the frontends are told."""
        ...

    def forget_decisions(self, app: str, user: str) -> None:
        """Takes a user's name off the decisions that are kept."""
        ...

    def forget_models(self, app: str, models: Sequence[str]) -> None:
        """Has what was learned of models, which are unlinked now, forgotten by everybody and every user."""
        ...

    def forget_app(self, app: str) -> None:
        """Deletes all that is kept of an application."""
        ...

    def export(self, app: str, after: int, limit: int) -> list[Entry]:
        """As ``read``, of one application, and without orders to forget."""
        ...

    def close(self) -> None: ...
