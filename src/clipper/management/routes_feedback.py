"""The endpoints below ``/admin`` that are about the feedback of applications: to read it, and to forget users."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from clipper.errors import BadRequest, ClipperError
from clipper.management import requests
from clipper.management.feedback_lines import feedback_line
from clipper.management.routes import ERRORS, Archive, Desk, text
from clipper.management.rules import find_application
from clipper.management.turns import Turns
from clipper.store.journal import Entry, Journal

logger: Final = logging.getLogger(__name__)

router: Final = APIRouter(prefix="/admin", responses=ERRORS, tags=["admin"])

NDJSON: Final = "application/x-ndjson"
FORGOTTEN: Final = (
    "User '{user}' is forgotten wherever the name stood, in {count} of the applications; whether it stood anywhere "
    "is not known: a misspelt name is answered the same"
)
CHUNK: Final = 200
"""Feedback that is read at once: the frontends' turn comes in between, and no more is held in memory."""


@router.get(
    "/feedback",
    response_class=StreamingResponse,
    responses={200: {"content": {NDJSON: {}}, "description": "One JSON object a line"}},
)
def feedback(page: Annotated[requests.FeedbackPage, Query()], registrar: Desk, archive: Archive) -> StreamingResponse:
    """The feedback of an application in its order, a page at a time.

    The next page starts after the position of the last line; a page may be shorter than its limit, and the one after
    the last is empty.
    """
    application = find_application(registrar.read(), page.app_name)
    first = _read(archive, page, page.after, min(CHUNK, page.limit))
    chunks = (
        b"".join(feedback_line(each, application.input_type) for each in entries)
        for entries in _follow(archive, page, first)
    )
    return StreamingResponse(chunks, media_type=NDJSON)


@router.post("/delete_user_state", **text(FORGOTTEN.format(user="user-17", count=1)))
def delete_user_state(body: requests.ForgottenUser, registrar: Desk, archive: Archive) -> str:
    """Forgets a user: what was learned of him goes, and his feedback and his queries lose his name.

    A name that stood nowhere is answered the same: what is kept is not searched for it beforehand.
    """
    user = user_text(body.user_id)
    registry = registrar.read()
    apps = list(registry.applications) if body.app_name is None else [find_application(registry, body.app_name).name]
    for app in apps:
        with archive.take() as journal:
            journal.forget_user(app, user)
    logger.info("Forgot a user in %d of the applications", len(apps))  # his name is to be forgotten
    return FORGOTTEN.format(user=user, count=len(apps))


def user_text(user_id: int | str) -> str:
    """A user as the journal knows him."""
    if user_id == "":
        raise BadRequest("user_id is empty, which names nobody: give the id that the queries are sent with")
    return str(user_id)


def _read(archive: Turns[Journal], page: requests.FeedbackPage, after: int, limit: int) -> list[Entry]:
    with archive.take() as journal:
        return journal.export(page.app_name, after, limit)


def _follow(archive: Turns[Journal], page: requests.FeedbackPage, entries: list[Entry]) -> Iterator[list[Entry]]:
    """``entries`` and then those after them, up to the page's limit. If they can't be read the page ends there."""
    left = page.limit
    while entries:
        yield entries
        left -= len(entries)
        try:
            entries = _read(archive, page, entries[-1].position, min(CHUNK, left)) if left else []
        except ClipperError as error:
            logger.warning("a page of feedback of %s is cut short: %s", page.app_name, error.cause)
            return
