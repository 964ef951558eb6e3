"""What an application has learned of its feedback, rebuilt from the journal as every query frontend has it."""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from pydantic import JsonValue

from clipper.errors import ClipperError, InternalError
from clipper.management.answers import ScoreAnswer, SelectionStateAnswer
from clipper.management.checks import policy_of
from clipper.management.rules import find_application
from clipper.management.turns import Turns
from clipper.selection.learning import Learned, Teaching, mean_losses, rebuild
from clipper.selection.policy import State
from clipper.store.journal import Entry, Journal, StateKey
from clipper.types import Application, Registry

logger: Final = logging.getLogger(__name__)

PAGE: Final = 1000
"""Feedback that is read at once: the turn of others comes in between."""
LONGEST_SHOWN: Final = 1024
"""Bytes of a state that are shown; of longer ones only the length is."""


class Picture(NamedTuple):
    """What is served from now: ``learned`` of everybody or of a user, as of his last feedback."""

    learned: Learned
    state: State
    weights: dict[str, float]


def learned_of(archive: Turns[Journal], application: Application, linked: tuple[str, ...], user: str) -> Picture:
    """What was learned of ``user``, or of everybody if that is empty. A user without feedback has everybody's state.

    Raises:
        InternalError: the policy, one of the user's own, failed.
    """
    policy = policy_of(application)
    teaching = Teaching(application.name, policy, application.policy_epoch, application.input_type)
    everybody_key, key = StateKey(application.name, ""), StateKey(application.name, user)
    with archive.take() as journal:
        checkpoint = journal.checkpoint()  # first: what is saved meanwhile goes further, and that is known of it
        kept = journal.load({everybody_key, key})
    stored_user = kept.get(key) if user else None
    entries = _entries(archive, checkpoint)
    try:
        everybody, own = rebuild(teaching, key, linked, kept.get(everybody_key), stored_user, entries)
        state = teaching.for_links(own or everybody, linked)
        weights = policy.weights(state)
    except ClipperError:
        raise
    except Exception as error:
        logger.exception("the policy of application %s failed", application.name)
        raise InternalError(
            f"the policy '{application.selection_policy}' of application '{application.name}' can't tell its weights "
            f"({type(error).__name__}: {error}): correct it, the log of the management frontend has its traceback"
        ) from error
    if user and own is None:
        everybody = Learned(everybody.state, everybody.linked)
    return Picture(own or everybody, state, weights)


def score_of_models(registry: Registry, archive: Turns[Journal], app_name: str) -> dict[str, tuple[int, float]]:
    """How often the current version of each model was scored, and its mean loss."""
    application = find_application(registry, app_name)
    picture = learned_of(archive, application, registry.links.get(app_name, ()), "")
    scores = mean_losses(picture.learned)
    current = {name: f"{name}:{version}" for name, version in registry.current_versions.items()}
    return {name: scores[model] for name, model in current.items() if model in scores}


def describe_picture(application: Application, user: str, picture: Picture) -> SelectionStateAnswer:
    scores = mean_losses(picture.learned)
    return SelectionStateAnswer(
        app_name=application.name,
        policy=application.selection_policy,
        params=cast(dict[str, JsonValue], application.policy_params),
        user_id=user or None,
        epoch=application.policy_epoch,
        feedbacks=picture.learned.feedbacks,
        weights=picture.weights,
        scores={model: ScoreAnswer(count=count, mean_loss=mean) for model, (count, mean) in scores.items()},
        state=shown(picture.state),
    )


def shown(state: State) -> JsonValue:
    """A policy's state as JSON: bytes become base64, or their length if they are many; NaN and infinities text."""
    if isinstance(state, Mapping):
        return {str(key): shown(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [shown(each) for each in state]
    if isinstance(state, bytes):
        return base64.b64encode(state).decode("ascii") if len(state) <= LONGEST_SHOWN else {"bytes": len(state)}
    if isinstance(state, float) and not math.isfinite(state):
        return str(state)
    return _plain(state)


def _plain(value: Any) -> JsonValue:
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _entries(archive: Turns[Journal], after: int) -> Iterator[Entry]:
    while True:
        with archive.take() as journal:
            page = journal.read(after, PAGE)
        if not page:
            return
        yield from page
        after = page[-1].position
