"""The stores that the contract is tested on: a new implementation adds one ``Backend``."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from clipper.store.base import Store
from clipper.store.sqlite import SqliteStore


@dataclass(frozen=True)
class Backend:
    """``open`` gives one more instance on the same data; ``source`` does that in the code of another process."""

    open: Callable[[], Store]
    source: str

    def command(self, program: str) -> list[str]:
        """A command that runs ``program``, with ``store`` open, in a Python process of its own."""
        return [sys.executable, "-c", f"{self.source}\n{program}"]


class Clock:
    """The time that all instances of a backend go by."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite"])
def backend(request, tmp_path, clock) -> Iterator[Backend]:
    path = tmp_path / "store.sqlite"
    opened: list[Store] = []

    def open_store() -> Store:
        opened.append(SqliteStore(path, clock=lambda: clock.now))
        return opened[-1]

    yield Backend(open_store, f"from clipper.store.sqlite import SqliteStore\nstore = SqliteStore({str(path)!r})")
    for store in opened:
        store.close()


@pytest.fixture
def store(backend) -> Store:
    return backend.open()
