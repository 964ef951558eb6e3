"""Decisions on their way to the journal: those that it does not take wait for it to come back, up to a bound."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from clipper.errors import StoreError
from clipper.store.journal import Journal, KeptDecision, keep_decision, open_decision

log = logging.getLogger(__name__)

MOST_UNWRITTEN: Final = 200_000
UNWRITTEN_BYTES: Final = 64 << 20
"""Of decisions that wait; the oldest are dropped first."""

GROUP: Final = 5_000
"""Decisions that are written in one go."""

RETRY_SECONDS: Final = 0.25


class Backlog:
    """For one thread; ``dropped`` counts those that could not wait, and may be read by any."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._groups: deque[list[KeptDecision]] = deque()
        self._count = self._bytes = 0
        self._retry_at = 0.0
        self._told = False
        self.dropped = 0

    def __len__(self) -> int:
        return self._count

    @property
    def due(self) -> bool:
        """Whether there is something to write, and it is time to try."""
        return bool(self._groups) and time.monotonic() >= self._retry_at

    def add(self, decisions: Sequence[KeptDecision]) -> None:
        """Takes decisions in the order of their ids."""
        for start in range(0, len(decisions), GROUP):
            group = list(decisions[start : start + GROUP])
            self._groups.append(group)
            self._count += len(group)
            self._bytes += _size(group)
        while len(self._groups) > 1 and (self._count > MOST_UNWRITTEN or self._bytes > UNWRITTEN_BYTES):
            self._drop()

    def write(self) -> None:
        """Writes the oldest. Where that raises StoreError they are kept, and written again: twice does no harm."""
        try:
            self._journal.remember(self._groups[0])
        except StoreError:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise
        except Exception:  # a bug: it would fail again
            self._drop()
            raise
        self._take()
        self._told = self._told and bool(self._groups)

    def forget(self, app: str, user: str) -> None:
        """Takes a user's name off the decisions of an application."""
        name = user.encode(errors="surrogatepass")
        for group in self._groups:
            for place, each in enumerate(group):
                if name in each.record:
                    decision = open_decision(each)
                    if (decision.app, decision.user) == (app, user):
                        group[place] = keep_decision(replace(decision, user=""))
        self._bytes = sum(map(_size, self._groups))

    def _drop(self) -> None:
        self.dropped += len(self._take())
        if not self._told:
            self._told = True
            log.warning(
                "the journal takes no decisions, and the oldest of those that wait (%d by now) are dropped: feedback "
                "by their query ids will be refused, send it with the input",
                self._count,
            )

    def _take(self) -> list[KeptDecision]:
        group = self._groups.popleft()
        self._count -= len(group)
        self._bytes -= _size(group)
        return group


def _size(group: Sequence[KeptDecision]) -> int:
    return sum(len(each.record) for each in group)
