"""What the stores do a second: ``python -m benchmarks.stores [--quick]``.

SQLite beside a Redis of its own (``redis-server``, if there is one), with an append-only file that is written to the
disk always, or every second. One frontend's connection, as its thread has it, in ``~/.cache/clipper-bench``: how
fast it is durable depends on the disk of that. Writes ``benchmarks/results/stores.md``; a quick run only prints.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.figures.tables import Result, Table, main
from clipper.errors import StoreError
from clipper.store.base import Store
from clipper.store.journal import DecisionRecord, Feedback, Journal, KeptDecision, keep_decision, wall_clock
from clipper.store.opening import open_journal, open_store
from clipper.types import Application, ModelVersion, Registry

FOLDER: Final = Path.home() / ".cache" / "clipper-bench"
AT_ONCE: Final = (1, 10, 100, 1000)
APPS: Final = 100
PATIENCE: Final = 30.0
WITHOUT_REDIS: Final = "There is no redis-server here: SQLite alone was measured."
REMARKS: Final = f"""
Medians of rounds in which all stores were measured one after the other, over one connection. Feedback is durable when
it is written: {{floor}}. A piece of it is about a query of two models and one user. Nobody waits for decisions. The
registry has {APPS} applications. A frontend asks for changes 20 times a second.
"""

T = TypeVar("T")
Measured = dict[str, float]


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield str(folder / "clipper.db")


@contextlib.contextmanager
def redis(folder: Path, fsync: str) -> Iterator[str]:
    """The address of a server of its own, which is gone afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": folder,
        "save": "",
        "appendonly": "yes",
        "appendfsync": fsync,
    }
    command = ["redis-server", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        address = f"redis://127.0.0.1:{port}/0?cluster=bench"
        await_redis(address, process)
        yield address
    finally:
        process.kill()
        process.wait(PATIENCE)


def await_redis(address: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return open_store(address).close()
        except StoreError:
            if process.poll() is not None or time.monotonic() > give_up:
                raise
        time.sleep(0.02)


Place = Callable[[Path], contextlib.AbstractContextManager[str]]
SQLITE: Final[dict[str, Place]] = {"SQLite": sqlite}
REDIS: Final[dict[str, Place]] = {
    "Redis, always": lambda folder: redis(folder, "always"),
    "Redis, every second": lambda folder: redis(folder, "everysec"),
}


def decision(query_id: int) -> DecisionRecord:
    models = ModelVersion("forest", "1"), ModelVersion("svm", "1")
    return DecisionRecord(
        query_id=query_id,
        app="digits",
        user=f"user-{query_id % 1000}",
        at=wall_clock(),
        epoch=1,
        linked=("forest", "svm"),
        asked=tuple((each, 0.5) for each in models),
        shadows=(),
        outputs={str(each): b"7" for each in models},
        answer=b"7",
        confidence=1.0,
        draw=0.5,
    )


def feedback(query_id: int) -> Feedback:
    return Feedback(decision(query_id), wall_clock(), b"7", {"forest:1": 0.0, "svm:1": 1.0}, 0.0)


def rate(work: Callable[[], int], seconds: float) -> float:
    """How much a second ``work`` does, which tells how much it did at a time."""
    work()
    began, done = time.perf_counter(), 0
    while (now := time.perf_counter()) - began < seconds:
        done += work()
    return done / (now - began)


def write(call: Callable[[Sequence[T]], object], make: Callable[[int], T], size: int, seconds: float) -> float:
    """Pieces a second of batches of ``size``; making them is not counted."""
    ids = count(random.getrandbits(36) << 12)
    spent, written = 0.0, 0
    give_up = time.perf_counter() + 3 * seconds
    while spent < seconds and time.perf_counter() < give_up:
        batch = [make(next(ids)) for _ in range(size)]
        began = time.perf_counter()
        call(batch)
        spent += time.perf_counter() - began
        written += size
    return written / spent


def kept(query_id: int) -> KeptDecision:
    return keep_decision(decision(query_id))


def measure(address: str, seconds: float) -> Measured:
    with contextlib.closing(open_store(address)) as store, contextlib.closing(open_journal(address)) as journal:
        found = {f"feedback {size}": write(journal.append, feedback, size, seconds) for size in AT_ONCE}
        found |= {f"decisions {size}": write(journal.remember, kept, size, seconds) for size in AT_ONCE[1:]}
        return found | calls(store, journal, seconds)


def calls(store: Store, journal: Journal, seconds: float) -> Measured:
    """Microseconds of one call each."""
    known = [kept(number) for number in range(20_000)]
    for first in range(0, len(known), 1000):
        journal.remember(known[first : first + 1000])
    app = Application(name="a", input_type="doubles", default_output="-1", latency_slo_micros=20_000)
    for number in range(APPS):
        before = store.read()
        store.commit(before, Registry(applications={**before.applications, f"app-{number}": app}))
    store.read(), journal.read(0, 1), journal.changed()

    def recall() -> int:
        assert journal.recall(random.randrange(len(known))) is not None
        return 1

    def commit() -> int:
        before = store.read()
        store.commit(before, before)
        return 1

    works: dict[str, Callable[[], int]] = {
        "find a decision": recall,
        "ask whether the registry changed": lambda: 1 + store.changed(),
        "ask whether there is feedback": lambda: 1 + journal.changed(),
        "read the registry": lambda: len((store.read(),)),
        "read and commit the registry": commit,
    }
    return {name: 1e6 / rate(work, seconds) for name, work in works.items()}


def fsyncs(folder: Path, seconds: float) -> float:
    """How often a second 4 KiB more of a file get to the disk: the bound of what is durable."""
    with (folder / "floor").open("wb", buffering=0) as file:

        def work() -> int:
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            return 1

        return rate(work, seconds)


def run(quick: bool) -> Result:
    places = SQLITE | (REDIS if shutil.which("redis-server") else {})
    rounds, seconds = (1, 0.05) if quick else (3, 2.0)
    found: dict[str, list[Measured]] = {name: [] for name in places}
    floors = []
    FOLDER.mkdir(parents=True, exist_ok=True)
    for _ in range(rounds):
        for name, place in places.items():
            with tempfile.TemporaryDirectory(dir=FOLDER) as folder, place(Path(folder)) as address:
                found[name].append(measure(address, seconds))
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            floors.append(fsyncs(Path(folder), seconds))
    floor = f"the disk takes {statistics.median(floors):,.0f} writes of 4 KiB a second"
    remarks = REMARKS.format(floor=floor) + ("" if len(places) > 1 else WITHOUT_REDIS)
    return Result("stores", "Stores", remarks, tables(found))


def tables(found: dict[str, list[Measured]]) -> tuple[Table, ...]:
    def rows(names: Sequence[str], label: Callable[[str], str]) -> list[list[str | float]]:
        return [
            [label(name), *(statistics.median(each[name] for each in rounds) for rounds in found.values())]
            for name in names
        ]

    measured = list(next(iter(found.values()))[0])
    feedbacks = [each for each in measured if each.startswith("feedback ")]
    decisions = [each for each in measured if each.startswith("decisions ")]
    others = [each for each in measured if each not in (*feedbacks, *decisions)]
    return (
        Table(
            "Feedback written, pieces a second", ["in one go", *found], rows(feedbacks, lambda name: name.split()[1])
        ),
        Table("Decisions kept, a second", ["in one go", *found], rows(decisions, lambda name: name.split()[1])),
        Table("One call, microseconds", ["", *found], rows(others, str)),
    )


if __name__ == "__main__":
    main(run, __doc__)
