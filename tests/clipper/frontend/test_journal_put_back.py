"""Redis is put back to an earlier state under running frontends: what it keeps counts, in each of them."""

from __future__ import annotations

import asyncio

import pytest

from clipper.store.opening import open_journal
from tests.clipper.frontend.test_journal_away import until
from tests.clipper.frontend.test_journal_feed import Frontend, entry, run
from tests.clipper.store.redis_process import DURABLE, RedisProcess
from tests.clipper.store.test_redis import Backup


@pytest.fixture
def redis(tmp_path):
    process = RedisProcess(tmp_path, *DURABLE)
    yield process
    process.kill()


def start(redis):
    return Frontend(None, journal=open_journal(redis.address()))


def feedbacks(frontend):
    return frontend.feed.states.learned("app").feedbacks


def test_what_is_given_in_the_place_of_what_is_gone_is_learned_by_all(redis, caplog):
    async def play():
        frontends = [start(redis), start(redis)]
        await frontends[0].accept(*(entry(number) for number in range(1, 6)))
        for each in frontends:
            await each.until(5)
        with redis.client() as client:
            backup = Backup(client)
            await frontends[0].accept(*(entry(number) for number in range(6, 9)))
            for each in frontends:
                await each.until(8)
            backup.put_back()
        frontends.append(start(redis))
        assert feedbacks(frontends[2]) == 5
        await frontends[2].accept(entry(100), entry(101))  # at places that the others have gone through already
        for each in frontends:
            await until(lambda each=each: feedbacks(each) == 7)
        await frontends[1].accept(entry(7))  # it was acknowledged, and is gone: it counts, given again
        for each in frontends:
            await until(lambda each=each: feedbacks(each) == 8)
        await asyncio.gather(*(each.stop() for each in frontends))
        last = start(redis)
        assert feedbacks(last) == 8, "nobody has kept what the others did not know"
        await last.stop()

    run(play())
    assert caplog.text.count("was put back to an earlier state") == 2
