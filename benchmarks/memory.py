"""What a query frontend holds in memory: ``python -m benchmarks.memory [--apps 1000] [--queries 10000]``.

A real local cluster is filled with applications and models that nobody serves, and its query frontend's memory is
read; then queries are opened against a model that does not answer, and what they add is divided by their number.
Writes ``benchmarks/results/memory.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import http.client
import json
import os
import platform
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from clipper.store.sqlite import SqliteStore
from clipper.types import Application, Model, Registry
from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as python_deployer

RESULTS = Path(__file__).parent / "results"
PIPELINE = 64
"""Unanswered requests that a connection may have."""
NUMBERS = 10
"""Doubles in an input."""
MOST_MEGABYTES = 150
MOST_BYTES_A_QUERY = 4096
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Megabytes: resident, and of these, what is the process's own."""

    when: str
    resident: float
    own: float


@dataclass(frozen=True, slots=True)
class Opened:
    """Queries in flight and the bytes that each added, beside the ``NUMBERS`` doubles of its input."""

    how: str
    queries: int
    bytes_each: float


def hanging(inputs):
    import time

    time.sleep(600)
    return ["0" for _ in inputs]


@contextlib.contextmanager
def cluster() -> Iterator[ClipperConnection]:
    with tempfile.TemporaryDirectory() as home:
        connection = ClipperConnection(LocalContainerManager("memory", 0, 0, 0, home=home))
        connection.start_clipper()
        try:
            yield connection
        finally:
            connection.stop_all(graceful=False)


def fill(store_path: Path, count: int) -> None:
    """Registers applications, each with a model of its own, in one step; through /admin it would take minutes."""
    store = SqliteStore(store_path)
    before = store.read()
    apps = {
        f"app-{each}": Application(
            name=f"app-{each}", input_type="doubles", default_output="-1.0", latency_slo_micros=100_000
        )
        for each in range(count)
    }
    models = [
        Model(name=f"model-{each}", version="1", input_type="doubles", registration=before.revision + 1)
        for each in range(count)
    ]
    after = Registry(
        applications=before.applications | apps,
        models=before.models | {each.id: each for each in models},
        current_versions=before.current_versions | {each.name: each.version for each in models},
        links=before.links | {f"app-{each}": (f"model-{each}",) for each in range(count)},
    )
    store.commit(before, replace(after, revision=before.revision))
    store.close()


class Frontend:
    """The query frontend's process and its port."""

    def __init__(self, connection: ClipperConnection) -> None:
        self.address = connection.get_query_addr()
        (program,) = [each for each in connection.cm.process_table() if each.program == "query-frontend-0"]
        self._process = psutil.Process(program.pid)

    def read(self, when: str) -> Reading:
        memory = self._process.memory_full_info()
        reading = Reading(when, memory.rss / 1e6, memory.uss / 1e6)
        print(f"{when}: {reading.resident:.1f} MB, {reading.own:.1f} of its own", flush=True)
        return reading

    def own_bytes(self) -> int:
        return int(self._process.memory_full_info().uss)

    def send(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def in_flight(self, model: str) -> int:
        """Queries of a model that wait or are being worked on."""
        families = text_string_to_metric_families(self.send("GET", "/metrics")[1])
        return sum(
            int(sample.value)
            for family in families
            for sample in family.samples
            if sample.name in ("clipper_queue_depth", "clipper_inflight") and sample.labels["model"] == model
        )


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come about in {PATIENCE:g} s")
        time.sleep(0.1)


def idle(connection: ClipperConnection, count: int) -> list[Reading]:
    """Readings while applications and models are registered, asked once each, and shown by /metrics."""
    frontend = Frontend(connection)
    readings = [frontend.read("started, nothing registered")]
    fill(connection.cm.home / "clusters" / "memory" / "clipper.db", count)
    body = {"input": [1.0]}
    last = f"/app-{count - 1}/predict"
    wait_until("the registry", lambda: frontend.send("POST", last, body)[0] == 200)
    readings.append(frontend.read(f"{count:,} applications and {count:,} idle models registered"))
    for each in range(count):
        status, text = frontend.send("POST", f"/app-{each}/predict", body)
        assert (status, json.loads(text)["default_reason"]) == (200, "no_replica"), text
    readings.append(frontend.read("each application was asked once"))
    for _ in range(3):
        frontend.send("GET", "/metrics")
    readings.append(frontend.read("/metrics was read three times"))
    return readings


def requests_of(first: int, count: int) -> bytes:
    """Pipelined requests, each with an input that nobody else asks."""
    sent = []
    for each in range(first, first + count):
        body = json.dumps({"input": [float(each), *[0.5] * (NUMBERS - 1)]}).encode()
        sent.append(b"POST /hanging/predict HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    return b"".join(sent)


def open_queries(frontend: Frontend, queries: int, a_connection: int) -> Opened:
    """Opens queries over as many connections as it takes, reads the memory that they added, and leaves."""
    host, _, port = frontend.address.rpartition(":")
    before, known = frontend.own_bytes(), frontend.in_flight("hanging")
    with contextlib.ExitStack() as connections:
        for first in range(0, queries, a_connection):
            client = connections.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
            client.sendall(requests_of(first, min(a_connection, queries - first)))
        wait_until("the queries", lambda: frontend.in_flight("hanging") - known >= queries)
        added = frontend.own_bytes() - before
    opened = Opened(f"{a_connection} on each connection", queries, added / queries - NUMBERS * 8)
    print(f"{queries} queries, {opened.how}: {opened.bytes_each:,.0f} bytes each", flush=True)
    return opened


def under_way(queries: int) -> list[Opened]:
    """In a cluster of its own each, so that none finds memory that another has left free."""
    opened = []
    for a_connection in (PIPELINE, 1):
        with cluster() as connection:
            connection.register_application("hanging", "doubles", "-1.0", 600_000_000)
            python_deployer.deploy_python_closure(connection, "hanging", 1, "doubles", hanging)
            connection.link_model_to_app("hanging", "hanging")
            frontend = Frontend(connection)
            frontend.in_flight("hanging")  # what the first /metrics takes is not the queries'
            few = queries if a_connection == PIPELINE else min(queries, 1000)
            opened.append(open_queries(frontend, few, a_connection))
    return opened


def report(readings: list[Reading], opened: list[Opened]) -> str:
    largest = max(each.resident for each in readings)
    query = opened[0].bytes_each
    lines = [
        "# Memory of a query frontend",
        "",
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}: `python -m benchmarks.memory`.",
        "",
        "| | resident MB | its own MB |",
        "|---|---|---|",
        *(f"| {each.when} | {each.resident:.1f} | {each.own:.1f} |" for each in readings),
        "",
        f"Wanted: less than {MOST_MEGABYTES} MB. {_verdict(largest < MOST_MEGABYTES)}: {largest:.1f} MB.",
        "",
        f"A query in flight, of {NUMBERS} doubles, to a model that does not answer (its own memory, divided):",
        "",
        "| queries | how | bytes each, beside the input |",
        "|---|---|---|",
        *(f"| {each.queries:,} | {each.how} | {each.bytes_each:,.0f} |" for each in opened),
        "",
        f"Wanted: less than {MOST_BYTES_A_QUERY:,} bytes. {_verdict(query < MOST_BYTES_A_QUERY)}: "
        f"{query:,.0f} bytes. The last line has the connection in it, too.",
    ]
    return "\n".join(lines) + "\n"


def _verdict(reached: bool) -> str:
    return "Reached" if reached else "Missed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with cluster() as connection:
        readings = idle(connection, options.apps)
    text = report(readings, under_way(options.queries))
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "memory.md").write_text(text)
    print("\n" + text)


if __name__ == "__main__":
    main()
