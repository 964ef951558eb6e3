"""The journal is away for a while: what was decided meanwhile is written when it is back, and readiness tells."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from clipper.errors import StoreError
from clipper.frontend import journal_feed
from clipper.selection.policy import Context
from clipper.store.sqlite_journal import SqliteJournal
from clipper.types import ModelVersion
from tests.clipper.frontend.test_journal_feed import PATIENCE, Frontend, entry, run

WRITES = ("append", "remember", "save", "forget_decisions")
READS = ("read", "recall", "changed", "load")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def journal(monkeypatch):
    """``journal.away(names)`` until ``journal.back()``."""

    def fail(*_):
        raise StoreError("the disk is full")

    def away(names):
        for name in names:
            monkeypatch.setattr(SqliteJournal, name, fail)

    return SimpleNamespace(away=away, back=monkeypatch.undo)


def answered(query_id, user=""):
    """A query that has been answered by all its models."""
    app = SimpleNamespace(name="app", linked=("a",), epoch=1, keeps_input=False)
    return SimpleNamespace(
        id=query_id,
        app=app,
        context=Context(b"", "doubles", user, 0.5),
        asked=((ModelVersion("a", "1"), 1.0),),
        shadows=(),
        answered_with=b"1",
        confidence=1.0,
        said=lambda: {ModelVersion("a", "1"): b"1"},
        unheard=0,
    )


async def until(condition):
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


async def recall(frontend, query_id):
    found = asyncio.get_running_loop().create_future()
    frontend.feed.recall(query_id, found.set_result, patiently=True)
    return await asyncio.wait_for(found, PATIENCE)


def test_decisions_of_that_time_are_found_by_another_frontend_after_it(path, journal):
    async def play():
        one, other = Frontend(path), Frontend(path)
        journal.away(WRITES + READS)
        for query_id in range(1, 50):
            one.feed.decisions.add(answered(query_id))
            if query_id % 10 == 0:
                await until(lambda query_id=query_id: len(one.feed.backlog) == query_id)
        await until(lambda: not one.feed.reach.up and not other.feed.reach.up)
        assert isinstance(await recall(other, 7), StoreError)
        journal.back()
        await until(lambda: not len(one.feed.backlog))
        for query_id in (1, 7, 49):
            assert (await recall(other, query_id)).query_id == query_id
        await until(lambda: one.feed.reach.up and other.feed.reach.up)
        assert one.feed.backlog.dropped == 0
        await one.stop()
        await other.stop()

    run(play())


def test_a_query_that_is_not_known_just_after_may_be_asked_for_again(path, journal, monkeypatch):
    async def play():
        frontend = Frontend(path)
        assert await recall(frontend, 7) is None
        journal.away(READS)
        await until(lambda: not frontend.feed.reach.up)
        journal.back()
        await until(lambda: frontend.feed.reach.up)
        assert "send the feedback again" in (await recall(frontend, 7)).cause
        monkeypatch.setattr(journal_feed, "SETTLE_SECONDS", 0.0)
        assert await recall(frontend, 7) is None
        await frontend.stop()

    run(play())


@pytest.mark.parametrize(("names", "doing"), [(WRITES, "writing"), (READS, "reading")])
def test_it_is_told_what_fails_until_it_works_again_though_nobody_asks(path, journal, names, doing):
    async def play():
        frontend = Frontend(path)
        assert frontend.feed.reach.up
        journal.away(names)
        if doing == "writing":  # reads are tried all the time
            (outcome,) = await frontend.accept(entry(1))
            assert outcome.cause == "the disk is full"
        await until(lambda: not frontend.feed.reach.up)
        assert frontend.feed.reach.trouble.causes == {doing: "the disk is full"}
        journal.back()
        await until(lambda: frontend.feed.reach.up)
        await frontend.stop()

    run(play())


def test_a_user_who_is_forgotten_just_after_is_in_no_decision(path, journal):
    async def play():
        one, other = Frontend(path), Frontend(path)
        journal.away(("remember", "forget_decisions"))
        one.feed.decisions.add(answered(7, "ann"))
        await until(lambda: len(one.feed.backlog) == 1)
        await other.accept(entry(99, "ann", forget=True))
        await until(lambda: one.feed.decisions.find(7).user == "")
        journal.back()
        await until(lambda: not len(one.feed.backlog))
        assert (await recall(other, 7)).user == ""
        await one.stop()
        await other.stop()

    run(play())


def test_decisions_that_can_not_be_kept_at_the_end_are_told(path, journal, caplog):
    async def play():
        frontend = Frontend(path)
        journal.away(WRITES)
        frontend.feed.decisions.add(answered(7))
        await asyncio.wait_for(frontend.stop(), PATIENCE)

    run(play())
    assert "1 decisions can't be kept: feedback by their query ids is lost" in caplog.text
