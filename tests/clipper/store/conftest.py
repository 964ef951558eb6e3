"""The stores that the contracts are tested on: a new implementation adds one ``Backend``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from clipper.store import decisions as packing
from clipper.store import redis_journal, sqlite_journal
from clipper.store.base import Store
from clipper.store.journal import Journal
from clipper.store.redis import RedisStore
from clipper.store.redis_address import parse_address
from clipper.store.redis_journal import RedisJournal
from clipper.store.sqlite import SqliteStore
from clipper.store.sqlite_journal import SqliteJournal
from tests.clipper.store.redis_process import DURABLE, RedisProcess

_clusters = count()


@dataclass(frozen=True)
class Backend:
    """``open`` gives one more instance on the same data; ``source`` does that in the code of another process.

    The same of the journal; ``bound`` makes it keep little, and tidy up with every write; ``traces`` tells where a
    text is, ``decisions`` how many pieces of decisions are kept.
    """

    open: Callable[[], Store]
    source: str
    open_journal: Callable[[], Journal]
    journal_source: str
    bound: Callable[..., None]
    traces: Callable[[bytes], list[str]]
    decisions: Callable[[], int]

    def command(self, program: str) -> list[str]:
        """A command that runs ``program``, with ``store`` open, in a Python process of its own."""
        return [sys.executable, "-c", f"{self.source}\n{program}"]

    def journal_command(self, program: str) -> list[str]:
        """The same with ``journal`` open."""
        return [sys.executable, "-c", f"{self.journal_source}\n{program}"]


class Clock:
    """The time that all instances of a backend go by."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory) -> Iterator[RedisProcess]:
    """The one that tests share: each has a cluster of its own on it."""
    process = RedisProcess(tmp_path_factory.mktemp("redis"), *DURABLE)
    yield process
    process.kill()


@pytest.fixture
def opened():
    """What is added is closed after the test."""
    opened = []
    yield opened
    for each in opened:
        each.close()


def sqlite_backend(path: Path, clock: Clock, opened, monkeypatch) -> Backend:
    journal = path.with_name("journal.sqlite")

    def bound(**limits: int) -> None:
        for name, value in limits.items():
            monkeypatch.setattr(sqlite_journal, name, value)
        monkeypatch.setattr(sqlite_journal, "TIDY_EVERY", 1)

    def decisions() -> int:
        with closing(SqliteJournal(journal)) as one:
            return one._file.scalar("SELECT count(*) FROM decisions")

    def traces(text: bytes) -> list[str]:
        files = list(journal.parent.glob("journal*"))
        assert len(files) >= 2
        return [each.name for each in files if text in each.read_bytes()]

    return Backend(
        lambda: keep(opened, SqliteStore(path, clock=lambda: clock.now)),
        f"from clipper.store.sqlite import SqliteStore\nstore = SqliteStore({str(path)!r})",
        lambda: keep(opened, SqliteJournal(journal, clock=lambda: clock.now)),
        f"from clipper.store.sqlite_journal import SqliteJournal\njournal = SqliteJournal({str(journal)!r})",
        bound,
        traces,
        decisions,
    )


def redis_backend(server: RedisProcess, clock: Clock, opened, monkeypatch) -> Backend:
    text = server.address(f"cluster {next(_clusters)}")
    address = parse_address(text)

    def bound(**limits: int) -> None:
        for name, value in limits.items():
            monkeypatch.setattr(redis_journal, name, value)
        monkeypatch.setattr(packing, "BUCKET", 10)

    def decisions() -> int:
        with server.client() as client:
            return sum(client.hlen(key) for key in client.scan_iter(f"{address.prefix}decisions:*"))

    def traces(needle: bytes) -> list[str]:
        with server.client() as client:
            keys = list(client.scan_iter(f"{address.prefix}*"))
            assert keys
            return [key for key in keys if needle in key + repr(content(client, key)).encode()]

    return Backend(
        lambda: keep(opened, RedisStore(address, clock=lambda: clock.now)),
        f"from clipper.store.opening import open_store\nstore = open_store({text!r})",
        lambda: keep(opened, RedisJournal(address, clock=lambda: clock.now)),
        f"from clipper.store.opening import open_journal\njournal = open_journal({text!r})",
        bound,
        traces,
        decisions,
    )


def keep(opened, each):
    opened.append(each)
    return each


def content(client, key):
    """All that a key of Redis holds."""
    match client.type(key):
        case b"string":
            return client.get(key)
        case b"hash":
            return client.hgetall(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"zset":
            return client.zrange(key, 0, -1)
        case b"stream":
            return client.xrange(key)
        case other:
            raise AssertionError(other)


@pytest.fixture(params=["sqlite", "redis"])
def backend(request, tmp_path, clock, opened, monkeypatch) -> Backend:
    if request.param == "sqlite":
        return sqlite_backend(tmp_path / "store.sqlite", clock, opened, monkeypatch)
    return redis_backend(request.getfixturevalue("redis_server"), clock, opened, monkeypatch)


@pytest.fixture
def store(backend) -> Store:
    return backend.open()
