"""The frontend's own work a query, without sockets: ``python -m benchmarks.hotpath [--profile]``.

Real connections, API, processor and executor between transports that swallow bytes and a container that answers
at once: what is left is the Python between the socket reads and writes. Nanoseconds a query, the median of many
turns, for queries that miss the cache, hit it, and find it off.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import os
import pstats
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clipper.catalog import Catalog
from clipper.decisions import Decisions
from clipper.execution.cache import PredictionCache
from clipper.execution.executor import Executor
from clipper.frontend.api import Api
from clipper.frontend.http import HttpServer, Limits
from clipper.frontend.replicas import ConnectedReplicas
from clipper.frontend.request_log import logging_requests
from clipper.log_format import log_to_stderr
from clipper.metrics import Metrics
from clipper.processor import Processor
from clipper.query_ids import QueryIds
from clipper.rpc import wire
from clipper.rpc.listener import ContainerConnection
from clipper.selection.states import States
from clipper.types import Application, Model, ModelVersion, Registry
from clipper.updater import Updater

CONNECTIONS = 64
BATCH = 16
BODY = b'{"input": [0.1, 1.2, 2.3, 3.4, 4.5, 5.6, 6.7, 7.8, 8.9, %.1f]}'
HEAD = (
    b"POST /sum/predict HTTP/1.1\r\nHost: 127.0.0.1:1337\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)
VERSION = ModelVersion("sum-model", "1")
REGISTRY = Registry(
    revision=1,
    applications={
        "sum": Application(name="sum", input_type="doubles", default_output="-1", latency_slo_micros=100_000)
    },
    models={VERSION: Model(name="sum-model", version="1", input_type="doubles", batch_size=BATCH, registration=1)},
    current_versions={"sum-model": "1"},
    links={"sum": ("sum-model",)},
)


@dataclass(frozen=True)
class Scenario:
    """``repeat``: each turn asks the same. ``named``: with X-Request-Id. ``logged``: how each is, if at all."""

    name: str
    cache_bytes: int
    connections: int = CONNECTIONS
    repeat: bool = False
    named: bool = False
    logged: str = ""


SCENARIOS = (
    Scenario("cache off, one at a time", 0, 1),
    Scenario("cache off, 64 at a time", 0),
    Scenario("cache misses, 64 at a time", 1 << 25),
    Scenario("cache hits, 64 at a time", 1 << 25, repeat=True),
    Scenario("cache off, each with a request id", 0, named=True),
    Scenario("cache off, at debug, as text", 0, logged="text"),
    Scenario("cache off, at debug, as JSON", 0, logged="json"),
)


class Sink(asyncio.Transport):
    """A transport that counts what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, data: object) -> None:
        self.writes += 1

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


class Container(Sink):
    """The other end of a container's connection: keeps each batch's answer, to be fed back."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = wire.FrameReader()
        self.answers: list[bytes] = []

    def write(self, data: object) -> None:
        for frame in self.reader.feed(data):  # type: ignore[arg-type]
            if frame.kind == wire.Kind.BATCH:
                outcomes = [wire.Outcome(True, b"49.5")] * frame.items
                self.answers.append(wire.encode_outcomes(frame.batch_id, outcomes, 300))


class Clock:
    time = staticmethod(time.monotonic)

    def call_at(self, when: float, callback: Callable[[], object]) -> object:
        return None


class NoAlarms:
    def wake(self) -> None: ...

    def ring_at(self, when: float) -> None: ...


class NoDesk:
    """Takes no feedback."""

    def accept(self, feedback, then): ...

    def recall(self, query_id, then, patiently): ...


class Frontend:
    """A query frontend whose sockets are replaced."""

    def __init__(self, loop: asyncio.AbstractEventLoop, cache_bytes: int) -> None:
        metrics = Metrics(time.monotonic)
        self.executor = Executor(PredictionCache(cache_bytes), 65_536, metrics, NoAlarms())
        ids = QueryIds(lambda then: None, 0)
        states, decisions = States(lambda key: None), Decisions(lambda: None, lambda: 0.0)
        processor = Processor(Catalog(), self.executor, ids, Clock(), metrics, states, decisions)
        processor.apply(REGISTRY)
        api = Api(processor, metrics, {}, Updater(processor, decisions, NoDesk(), lambda: 0.0))
        api.follow_catalog()
        server = HttpServer(logging_requests(api.handle), Limits(), loop, metrics.process.statuses)
        self.sinks = [Sink() for _ in range(CONNECTIONS)]
        self.clients = [server.protocol() for _ in self.sinks]
        for client, sink in zip(self.clients, self.sinks, strict=True):
            client.connection_made(sink)
        self.container = Container()
        self.link = ContainerConnection(ConnectedReplicas(self.executor, "f", lambda replicas: None), set())
        self.link.connection_made(self.container)
        self.link.data_received(wire.encode_hello(wire.Hello("sum-model", "1", "doubles", 0, 1)))

    def turn(self, requests: list[bytes]) -> None:
        """One request on each of as many connections, then all batches it takes to answer them."""
        for client, request in zip(self.clients, requests, strict=False):
            client.data_received(request)  # type: ignore[attr-defined]
        self.executor.flush(time.monotonic())
        while self.container.answers:
            answers, self.container.answers = self.container.answers, []
            for answer in answers:
                self.link.data_received(answer)

    @property
    def responses(self) -> int:
        return sum(sink.writes for sink in self.sinks)


def requests(first: int, scenario: Scenario) -> list[bytes]:
    bodies = [BODY % (first + number) for number in range(scenario.connections)]
    head = HEAD.replace(b"\r\n\r\n", b"\r\nX-Request-Id: 4bf92f3577b34da6\r\n\r\n") if scenario.named else HEAD
    return [head % len(body) + body for body in bodies]


@contextlib.contextmanager
def logging_as(form: str) -> Iterator[None]:
    """With a line for each request that goes nowhere; without a ``form``, with none."""
    with open(os.devnull, "w") as nowhere:
        log_to_stderr("debug" if form else "info", form or "text").setStream(nowhere)
        yield


async def measure(scenario: Scenario, turns: int, profile: cProfile.Profile | None = None) -> float:
    """Nanoseconds a query: the median of ``turns`` turns."""
    frontend = Frontend(asyncio.get_running_loop(), scenario.cache_bytes)
    connections = scenario.connections
    firsts = (0 if scenario.repeat else connections * turn for turn in range(turns + 50))
    batches = [requests(first, scenario) for first in firsts]
    for batch in batches[:50]:
        frontend.turn(batch)
    times = []
    if profile is not None:
        profile.enable()
    for batch in batches[50:]:
        began = time.perf_counter()
        frontend.turn(batch)
        times.append(time.perf_counter() - began)
    if profile is not None:
        profile.disable()
    assert frontend.responses == connections * len(batches), "not every query was answered"
    return statistics.median(times) / connections * 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true", help="show where the calls go")
    parser.add_argument("--turns", type=int, default=1500)
    options = parser.parse_args()
    for scenario in SCENARIOS:
        profile = cProfile.Profile() if options.profile else None
        with logging_as(scenario.logged):
            nanoseconds = asyncio.run(measure(scenario, options.turns, profile))
        print(f"{scenario.name:34} {nanoseconds:8.0f} ns a query", flush=True)
        if profile is not None:
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
