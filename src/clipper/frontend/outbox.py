"""Feedback on its way to the journal, and who is told once it is there."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from clipper.errors import StoreError, Unavailable
from clipper.frontend.reach import WRITING, Reach
from clipper.store.journal import Feedback, Journal

log = logging.getLogger(__name__)

AT_ONCE: Final = 1000
"""Feedback that is written in one go."""

MOST_WAITING: Final = 20_000
"""Feedback that waits to be written; more is refused."""

FAILED: Final = StoreError("the journal of feedback failed: the query frontend's log has the traceback")

Written = Callable[[bool | StoreError], None]


class Pending(NamedTuple):
    feedback: Feedback
    then: Written


class Outbox:
    """Filled by the event loop, emptied by one thread. What the journal does not take is told, and not kept."""

    def __init__(self, journal: Journal, reach: Reach) -> None:
        self._journal = journal
        self._reach = reach
        self._pending: deque[Pending] = deque()

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, feedback: Feedback, then: Written) -> None:
        """Raises Unavailable if too much waits."""
        if len(self._pending) >= MOST_WAITING:
            raise Unavailable(f"{MOST_WAITING} pieces of feedback wait to be written: send it again, more slowly")
        self._pending.append(Pending(feedback, then))

    def write(self) -> list[tuple[Written, bool | StoreError]]:
        """Writes some of what waits; who is to be told, and what."""
        pending = [self._pending.popleft() for _ in range(min(len(self._pending), AT_ONCE))]
        if not pending:
            return []
        outcomes: Sequence[bool | StoreError]
        try:
            outcomes = self._journal.append([each.feedback for each in pending])
            self._reach.worked(WRITING)
        except StoreError as error:
            self._reach.failed(WRITING, error.cause)
            outcomes = [error] * len(pending)
        except Exception:
            log.exception("feedback could not be written")
            outcomes = [FAILED] * len(pending)
        return list(zip((each.then for each in pending), outcomes, strict=True))
