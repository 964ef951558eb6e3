"""Decisions that the journal does not take wait, and no more of them than may."""

import pytest
from msgspec.structs import replace

from clipper.errors import StoreError
from clipper.frontend import backlog as module
from clipper.frontend.backlog import Backlog
from clipper.store.journal import keep_decision, open_decision
from tests.clipper.store.test_journal import decision


class Journal:
    """Takes decisions, unless it is to raise ``error``."""

    def __init__(self):
        self.error = None
        self.ids = []
        self.users = []

    def remember(self, decisions):
        if self.error:
            raise self.error
        self.ids.append([each.query_id for each in decisions])
        self.users += [open_decision(each).user for each in decisions]


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
def backlog(journal, monkeypatch):
    monkeypatch.setattr(module, "GROUP", 3)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    return Backlog(journal)


def kept(*ids, user=""):
    return [keep_decision(replace(decision(each), user=user)) for each in ids]


def write_all(backlog):
    while backlog.due:
        backlog.write()


def test_what_comes_is_written_in_its_order(backlog, journal):
    assert not backlog.due
    backlog.add(kept(1, 2, 3, 4))
    backlog.add(kept(0, 7))
    assert len(backlog) == 6
    write_all(backlog)
    assert journal.ids == [[1, 2, 3], [4], [0, 7]]
    assert (len(backlog), backlog.dropped) == (0, 0)


def test_what_is_not_taken_is_written_later(backlog, journal, monkeypatch):
    backlog.add(kept(1, 2, 3, 4))
    journal.error = StoreError("away")
    for _ in range(3):
        with pytest.raises(StoreError):
            backlog.write()
    assert len(backlog) == 4
    monkeypatch.setattr(module, "RETRY_SECONDS", 100.0)
    with pytest.raises(StoreError):
        backlog.write()
    assert not backlog.due, "it is not asked without a pause"
    backlog._retry_at = 0.0
    journal.error = None
    write_all(backlog)
    assert journal.ids == [[1, 2, 3], [4]]


def test_what_the_journal_never_takes_holds_up_no_others(backlog, journal):
    backlog.add(kept(1, 2, 3, 4))
    journal.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        backlog.write()
    journal.error = None
    write_all(backlog)
    assert (journal.ids, backlog.dropped) == ([[4]], 3)


@pytest.mark.parametrize(
    ("bound", "value"), [("MOST_UNWRITTEN", 5), ("UNWRITTEN_BYTES", 5 * len(keep_decision(decision(1)).record))]
)
def test_the_oldest_are_dropped_counted_and_told_once(backlog, journal, monkeypatch, caplog, bound, value):
    monkeypatch.setattr(module, bound, value)
    for first in range(10, 40, 3):
        backlog.add(kept(first, first + 1, first + 2))
    assert (len(backlog), backlog.dropped) == (3, 27)
    assert "are dropped: feedback by their query ids will be refused" in caplog.text
    assert len(caplog.messages) == 1
    write_all(backlog)
    assert journal.ids == [[37, 38, 39]]
    for first in range(50, 59, 3):
        backlog.add(kept(first, first + 1, first + 2))
    assert len(caplog.messages) == 2, "at the next time it is told again"


def test_what_came_last_is_never_dropped(backlog, journal, monkeypatch):
    """It may be large: the journal is to see it first."""
    monkeypatch.setattr(module, "UNWRITTEN_BYTES", 1)
    backlog.add(kept(1, 2))
    write_all(backlog)
    assert (journal.ids, backlog.dropped) == ([[1, 2]], 0)


def test_a_user_is_forgotten(backlog, journal):
    backlog.add(kept(1, 2, user="ann"))
    backlog.add(kept(3, user="bob"))
    backlog.forget("digits", "ann")
    backlog.forget("another", "bob")
    write_all(backlog)
    assert (journal.ids, journal.users) == ([[1, 2], [3]], ["", "", "bob"])
