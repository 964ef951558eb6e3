"""Feedback as it is exported: each on a line of its own, in JSON. docs/rest.md tells the fields."""

from __future__ import annotations

import base64
from typing import Final

import msgspec

from clipper.store.journal import Entry

NEWLINES: Final = bytes.maketrans(b"\r\n", b"  ")
"""Within a JSON text they can only stand between values, where a blank means the same."""


class _Asked(msgspec.Struct, frozen=True):
    model: str
    propensity: float


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    position: int
    query_id: int
    app: str
    user: str
    decided_at: float
    at: float
    epoch: int
    linked: tuple[str, ...]
    asked: list[_Asked]
    shadows: list[str]
    outputs: dict[str, msgspec.Raw]
    answer: msgspec.Raw | None
    default: bool
    confidence: float
    draw: float
    label: msgspec.Raw | None
    losses: dict[str, float]
    loss: float | None
    input_type: str
    input: str | msgspec.UnsetType


def feedback_line(entry: Entry, input_type: str) -> bytes:
    """The line, with its newline, of feedback given to an application of ``input_type``."""
    feedback = entry.feedback
    decision = feedback.decision
    line = _Line(
        position=entry.position,
        query_id=decision.query_id,
        app=decision.app,
        user=decision.user,
        decided_at=decision.at,
        at=feedback.at,
        epoch=decision.epoch,
        linked=decision.linked,
        asked=[_Asked(str(model), propensity) for model, propensity in decision.asked],
        shadows=list(map(str, decision.shadows)),
        outputs={model: _embed(output) for model, output in decision.outputs.items()},
        answer=None if decision.answer is None else _embed(decision.answer),
        default=decision.answer is None,
        confidence=decision.confidence,
        draw=decision.draw,
        label=None if feedback.label is None else _embed(feedback.label),
        losses=feedback.losses,
        loss=feedback.loss,
        input_type=input_type,
        input=base64.b64encode(decision.data).decode("ascii") if decision.data else msgspec.UNSET,
    )
    return msgspec.json.encode(line) + b"\n"


def _embed(text: bytes) -> msgspec.Raw:
    return msgspec.Raw(text.translate(NEWLINES))
