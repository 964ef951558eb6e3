"""The registry's store on behalf of the event loop: what fails is told until it works again."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from clipper.errors import StoreError
from clipper.frontend.registry_feed import RegistryFeed
from clipper.frontend.store_thread import StoreThread
from clipper.store.sqlite import SqliteStore
from clipper.types import Registry
from tests.clipper.frontend.test_journal_away import until
from tests.clipper.frontend.test_journal_feed import run

ALL = ("changed", "read", "report", "reserve_query_ids")


class Frontend:
    def __init__(self, path):
        self.thread = StoreThread()
        self.taken = []
        self.feed = RegistryFeed(SqliteStore(path), "frontend-0", self.taken.append, self.thread)
        self.feed.start()
        self.thread.add(self.feed)
        self.thread.start()


def failing(monkeypatch, names, error):
    def fail(*_):
        raise error

    for name in names:
        monkeypatch.setattr(SqliteStore, name, fail)


@pytest.mark.parametrize(("names", "doing"), [(("changed",), "reading"), (("report",), "writing")])
def test_what_fails_is_told_until_it_works_again(tmp_path, monkeypatch, names, doing):
    async def play():
        frontend = Frontend(tmp_path / "s")
        feed = frontend.feed
        assert feed.reach.up
        failing(monkeypatch, names, StoreError("gone"))
        feed.report(())
        await until(lambda: not feed.reach.up)
        assert feed.reach.trouble.causes == {doing: "gone"}
        monkeypatch.undo()
        await until(lambda: feed.reach.up)
        await frontend.thread.stop()

    run(play())


def test_what_was_missed_is_made_up_for(tmp_path, monkeypatch):
    async def play():
        frontend = Frontend(tmp_path / "s")
        failing(monkeypatch, ALL, StoreError("gone"))
        ids = []
        frontend.feed.reserve_more(ids.append)
        await until(lambda: not frontend.feed.reach.up)
        monkeypatch.undo()
        with closing(SqliteStore(tmp_path / "s")) as store:
            store.commit(store.read(), Registry(current_versions={"m": "1"}))
            await until(lambda: frontend.taken[-1].current_versions == {"m": "1"})
            await until(lambda: ids == [0])
            await until(lambda: store.frontends() == {"frontend-0": 1})
        await frontend.thread.stop()

    run(play())


def test_a_bug_is_logged_once_and_ends_nothing(tmp_path, monkeypatch, caplog):
    async def play():
        frontend = Frontend(tmp_path / "s")
        looks = []

        def burst(self):
            looks.append(1)
            raise ZeroDivisionError

        monkeypatch.setattr(SqliteStore, "changed", burst)
        await until(lambda: len(looks) > 3)
        assert "the log of the query frontend has its traceback" in frontend.feed.reach.trouble.causes["reading"]
        monkeypatch.undo()
        await until(lambda: frontend.feed.reach.up)
        await asyncio.wait_for(frontend.thread.stop(), 20)

    run(play())
    assert caplog.text.count("met a bug") == 1
