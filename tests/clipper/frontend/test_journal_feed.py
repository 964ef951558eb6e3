"""The journal on behalf of the event loop: durable before it is told, in one order, and never in the loop's way."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from msgspec.structs import replace

from clipper.errors import StoreError, Unavailable
from clipper.frontend import outbox
from clipper.frontend.journal_feed import JournalFeed
from clipper.frontend.store_thread import StoreThread
from clipper.store.journal import StateKey, keep_decision, wall_clock
from clipper.store.sqlite_journal import SqliteJournal
from tests.clipper.selection.test_states import EPOCH, LINKED, entry, teaching

PATIENCE = 20.0


class Frontend:
    """A feed with its thread; ``told`` are the outcomes of what was accepted."""

    def __init__(self, path, epoch=EPOCH, journal=None):
        self.thread = StoreThread()
        self.learned = asyncio.Event()
        self.feed = JournalFeed(journal or SqliteJournal(path), self.learned.set, self.thread)
        self.follow(epoch)
        self.feed.start()
        self.thread.add(self.feed)
        self.thread.start()

    def follow(self, epoch):
        self.feed.states.follow({"app": (teaching(epoch=epoch), LINKED)}, epoch)
        self.feed.registry_changed()

    async def accept(self, *entries):
        told = asyncio.get_running_loop().create_future()
        outcomes = []

        def then(outcome):
            outcomes.append(outcome)
            if len(outcomes) == len(entries):
                told.set_result(outcomes)

        for each in entries:
            self.feed.accept(each.feedback, then)
        return await asyncio.wait_for(told, PATIENCE)

    async def until(self, feedbacks):
        async with asyncio.timeout(PATIENCE):
            while self.feed.states.learned("app").feedbacks < feedbacks:
                self.learned.clear()
                await self.learned.wait()

    async def of_user(self, user):
        states = self.feed.states
        if states.of_user("app", user) is None:
            loaded = asyncio.Event()
            states.wait_for("app", user, loaded.set)
            await asyncio.wait_for(loaded.wait(), PATIENCE)
        (state,) = states.of_user("app", user)
        return state

    async def stop(self):
        self.feed.finish()
        await self.thread.stop()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


def feedbacks_in(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT count(*) FROM feedback").fetchone()[0]


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, 60))


def test_feedback_is_durable_and_learned_when_it_is_told(path):
    async def play():
        frontend = Frontend(path)
        assert await frontend.accept(entry(1), entry(2), entry(1)) == [True, True, False]
        assert feedbacks_in(path) == 2
        assert frontend.feed.states.learned("app").feedbacks == 2
        await frontend.stop()

    run(play())


def test_two_frontends_feed_one_state(path):
    async def play():
        one, other = Frontend(path), Frontend(path)
        for number in range(0, 40, 2):
            await asyncio.gather(one.accept(entry(number, "ann")), other.accept(entry(number + 1)))
        await asyncio.gather(one.until(40), other.until(40))
        states = [each.feed.states for each in (one, other)]
        assert states[0].of_everybody("app") == states[1].of_everybody("app")
        await one.stop()
        await other.stop()

    run(play())


def test_what_was_learned_is_there_after_a_restart(path):
    async def play():
        frontend = Frontend(path)
        await frontend.accept(*(entry(number, "ann", 0.0) for number in range(1, 30)))
        await frontend.of_user("ann")
        before = frontend.feed.states.of_everybody("app")
        await frontend.stop()
        journal = SqliteJournal(path)
        assert journal.checkpoint() == 29
        assert journal.load([StateKey("app", "ann")])
        journal.close()
        again = Frontend(path)
        assert again.feed.states.of_everybody("app") == before
        assert (await again.of_user("ann"))["seen"] == 29
        await again.accept(entry(30, "ann", 0.0))
        assert again.feed.states.learned("app").feedbacks == 30
        await again.stop()

    run(play())


def test_a_crash_before_anything_was_saved_loses_nothing(path):
    async def play():
        frontend = Frontend(path)
        await frontend.accept(*(entry(number, "ann") for number in range(1, 30)))
        again = Frontend(path)  # the first one has not saved, and never will
        assert again.feed.states.of_everybody("app") == frontend.feed.states.of_everybody("app")
        assert await again.of_user("ann") == await frontend.of_user("ann")
        await again.stop()

    run(play())


def test_feedback_under_a_registry_that_is_not_known_yet_waits_for_it(path):
    async def play():
        behind, ahead = Frontend(path), Frontend(path, EPOCH + 1)
        await ahead.accept(entry(1, epoch=EPOCH + 1))
        await behind.accept(entry(2))
        assert behind.feed.states.learned("app").feedbacks == 0, "nothing overtakes"
        behind.follow(EPOCH + 1)
        assert behind.feed.states.learned("app").feedbacks == 1
        assert behind.feed.states.position == 2
        await behind.stop()
        await ahead.stop()

    run(play())


def test_decisions_of_another_frontend_are_waited_for(path):
    async def play():
        one, other = Frontend(path), Frontend(path)
        found = asyncio.get_running_loop().create_future()
        other.feed.recall(7, found.set_result, patiently=True)
        journal = SqliteJournal(path)
        journal.remember([keep_decision(replace(entry(7).feedback.decision, at=wall_clock()))])
        assert (await asyncio.wait_for(found, PATIENCE)).query_id == 7
        unknown = asyncio.get_running_loop().create_future()
        one.feed.recall(8, unknown.set_result, patiently=True)
        assert await asyncio.wait_for(unknown, PATIENCE) is None
        journal.close()
        await one.stop()
        await other.stop()

    run(play())


def test_more_than_can_be_written_is_refused(path, monkeypatch):
    async def play():
        frontend = Frontend(path)
        monkeypatch.setattr(outbox, "MOST_WAITING", 0)
        with pytest.raises(Unavailable, match="send it again, more slowly"):
            frontend.feed.accept(entry(1).feedback, lambda outcome: None)
        await frontend.stop()

    run(play())


def test_a_journal_that_fails_is_told_and_comes_back(path, monkeypatch, caplog):
    async def play():
        frontend = Frontend(path)
        append = SqliteJournal.append

        def fail(self, feedback):
            raise StoreError("the disk is full")

        def burst(self, feedback):
            raise ZeroDivisionError

        monkeypatch.setattr(SqliteJournal, "append", fail)
        (outcome,) = await frontend.accept(entry(1))
        assert outcome.cause == "the disk is full"
        monkeypatch.setattr(SqliteJournal, "append", burst)
        (outcome,) = await frontend.accept(entry(1))
        assert "log has the traceback" in outcome.cause
        monkeypatch.setattr(SqliteJournal, "append", append)
        assert await frontend.accept(entry(1)) == [True]
        await frontend.stop()

    run(play())
    assert "the journal of feedback: the disk is full" in caplog.text
    assert "the journal of feedback: it is back" in caplog.text


def test_a_journal_that_goes_away_after_the_writing_leaves_nobody_waiting(path, monkeypatch):
    async def play():
        frontend = Frontend(path)
        read = SqliteJournal.read

        def fail(self, after, limit):
            raise StoreError("gone")

        monkeypatch.setattr(SqliteJournal, "read", fail)
        assert await frontend.accept(entry(1)) == [True]
        frontend.learned.clear()
        monkeypatch.setattr(SqliteJournal, "read", read)
        await asyncio.wait_for(frontend.learned.wait(), 10)  # nobody wrote again
        await frontend.stop()

    run(play())


def test_a_read_that_fails_answers_whoever_waits(path, monkeypatch):
    async def play():
        frontend = Frontend(path)

        def burst(self, query_id):
            raise ZeroDivisionError

        monkeypatch.setattr(SqliteJournal, "recall", burst)
        found = asyncio.get_running_loop().create_future()
        frontend.feed.recall(7, found.set_result, patiently=False)
        assert isinstance(await asyncio.wait_for(found, PATIENCE), StoreError)
        await frontend.stop()

    run(play())
