"""What feedback says of the models: a label, or a loss, joined with the decision that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from clipper.catalog import AppView
from clipper.errors import BadRequest, NotFound
from clipper.selection.losses import check_label, check_loss, loss
from clipper.store.journal import DecisionRecord, Feedback
from clipper.types import Application

LONGEST_USER: Final = 512
"""Characters of a user's name."""


class FeedbackRequest(NamedTuple):
    """As it was sent. ``label`` is any JSON value; ``loss`` that of the answer, or of models by their names."""

    label: Any
    loss: float | Mapping[str, float] | None
    query_id: int | None
    data: bytes | None
    user: str
    request_id: str = ""


class FeedbackAnswer(NamedTuple):
    """What feedback did: ``losses`` are by ``name:version``. One that is not ``accepted`` had been given before."""

    accepted: bool
    query_id: int
    losses: Mapping[str, float]


def check_user(user: str | int | None) -> str:
    """A user's name as policies know it, empty for none; BadRequest if it is too long."""
    name = "" if user is None else str(user)
    if len(name) > LONGEST_USER:
        raise BadRequest(f"user_id has {len(name)} characters: at most {LONGEST_USER} fit, so send a shorter one")
    return name


def assess(app: AppView, decision: DecisionRecord, request: FeedbackRequest, at: float) -> Feedback:
    """The feedback about a decision: the loss of each model that is known, by the application's loss.

    A model asked that gave no output has a loss of 1; that of one whose output is too long to be kept is not known. A
    loss that is given for the answer is that of the models that
    said the same. ``at``: seconds since the epoch.

    Raises:
        NotFound: the decision is another application's.
        BadRequest: label, loss or user don't fit.
    """
    if decision.app != app.name:
        raise unknown_query(app, decision.query_id)
    user = request.user or decision.user
    if decision.user and user != decision.user:
        raise BadRequest(
            f"query {decision.query_id} was asked for another user than {user!r}: leave user_id out, or send that of "
            "the query"
        )
    known = {name: output for name, output in decision.outputs.items() if output}
    failures = {name: 1.0 for name in _names_asked(decision) if name not in decision.outputs}
    answer = decision.answer or None
    decision = replace(decision, user=user, epoch=app.epoch, linked=app.linked, outputs=known, answer=answer)
    if request.loss is None:
        return _by_label(app.application, decision, request.label, failures, at)
    return _by_loss(decision, request.loss, failures, at)


def unknown_query(app: AppView, query_id: int) -> NotFound:
    why = "they are kept for an hour, and at most a million of them"
    if app.application.selection_policy == "single" and not app.shadows:
        why = "of the policy single they are kept by all frontends from the first accepted feedback on, for an hour"
    return NotFound(
        f"application {app.name} knows no query {query_id} ({why}): send the query's input in place of its query_id"
    )


def _by_label(
    application: Application, decision: DecisionRecord, value: object, failures: Mapping[str, float], at: float
) -> Feedback:
    kind, scale = application.loss, application.loss_scale
    label = check_label(kind, value)
    losses = {**failures} | {name: loss(kind, label, output, scale) for name, output in decision.outputs.items()}
    of_answer = None if decision.answer is None else loss(kind, label, decision.answer, scale)
    return Feedback(decision, at, label, losses, of_answer)


def _by_loss(
    decision: DecisionRecord, given: float | Mapping[str, float], failures: Mapping[str, float], at: float
) -> Feedback:
    losses = dict(failures)
    if isinstance(given, Mapping):
        if not given:
            raise BadRequest("loss names no model: send a number from 0 to 1, or one for each model by its name")
        losses |= {_asked(decision, name): check_loss(each) for name, each in given.items()}
        return Feedback(decision, at, None, losses, None)
    of_answer, answer = check_loss(given), decision.answer
    if answer is not None:
        asked = set(_names_asked(decision))
        same = {name for name, output in decision.outputs.items() if loss("zero_one", answer, output, 1.0) == 0.0}
        if not same & asked:  # a mean, say, that no model gave: it is due to all of them
            same = asked & decision.outputs.keys()
        losses |= dict.fromkeys(sorted(same), of_answer)
    return Feedback(decision, at, None, losses, None if answer is None else of_answer)


def _names_asked(decision: DecisionRecord) -> list[str]:
    return [f"{name}:{version}" for (name, version), _ in decision.asked]


def _asked(decision: DecisionRecord, name: str) -> str:
    """The model that was asked by this name, or ``name:version``."""
    asked = [*(model for model, _ in decision.asked), *decision.shadows]
    for model in asked:
        if name in (model[0], f"{model[0]}:{model[1]}"):
            return f"{model[0]}:{model[1]}"
    known = ", ".join(f"{each[0]}:{each[1]}" for each in asked)
    raise BadRequest(f"loss names {name!r}, which was not asked: query {decision.query_id} asked {known}")
