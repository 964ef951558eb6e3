"""How far a frontend has gone through the feedback of the journal, in its one order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clipper.store.journal import Entry, Journal

AT_ONCE: Final = 1000
"""Feedback that is read in one go."""


class Following:
    """For one thread. ``generation`` counts how often it was begun anew, after the journal had lost what was read."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._position = 0
        self._unread = False
        self.generation = 0
        self.is_lost = False

    def begin(self, position: int) -> None:
        """Goes on behind ``position``."""
        self._position = position
        self._unread = True

    def begin_anew(self, position: int) -> None:
        """Takes the journal for what it is now."""
        self._journal.accept_loss()
        self.is_lost = False
        self.generation += 1
        self.begin(position)

    def note_change(self) -> None:
        """There may be more: to be read still if reading fails, for nobody may write again for long."""
        self._unread = True

    def read(self) -> Sequence[Entry]:
        """What has come since, at most ``AT_ONCE``; nothing while what was read ``is_lost`` in the journal."""
        self._unread = self._journal.changed() or self._unread
        self.is_lost = self.is_lost or self._journal.lost()
        if self.is_lost or not self._unread:
            return ()
        entries = self._journal.read(self._position, AT_ONCE)
        self._unread = len(entries) == AT_ONCE
        if entries:
            self._position = entries[-1].position
        return entries
