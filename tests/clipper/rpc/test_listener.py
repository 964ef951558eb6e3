"""The frontend's end of the wire, over real sockets, with an executor behind it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from clipper import types
from clipper.execution.cache import PredictionCache
from clipper.execution.executor import Executor
from clipper.execution.model import ModelSettings
from clipper.frontend.replicas import ConnectedReplicas
from clipper.metrics import Metrics
from clipper.rpc import wire
from clipper.rpc.listener import Listener
from clipper.rpc.wire import Frame, FrameReader, Hello, Kind, Outcome
from clipper.types import ModelVersion

SUM = ModelVersion("sum", "1")
HELLO = Hello("sum", "1", "doubles", replica_id=3, pid=1)


class Waiter:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, object]] = asyncio.Queue()

    def output(self, model: ModelVersion, fragment: bytes) -> None:
        self.heard.put_nowait(("output", fragment))

    def failure(self, model: ModelVersion, reason: str, detail: str) -> None:
        self.heard.put_nowait(("failure", reason))


class House:
    """A listener on a Unix socket and on TCP, before an executor that knows one model."""

    def __init__(self) -> None:
        self.reports: list[list[types.Replica]] = []
        self.executor = Executor(PredictionCache(0), 100, Metrics(time.monotonic), self)
        settings = ModelSettings(registration=1, input_type="doubles", batch_size=8, slo=10.0)
        self.executor.configure({SUM: settings}, time.monotonic())
        self.listener = Listener(ConnectedReplicas(self.executor, "frontend-0", self.reports.append))

    def wake(self) -> None:
        asyncio.get_running_loop().call_soon(lambda: self.executor.flush(time.monotonic()))

    def ring_at(self, when: float) -> None:
        asyncio.get_running_loop().call_at(when, lambda: self.executor.ring(time.monotonic()))

    def submit(self, data: bytes) -> Waiter:
        waiter = Waiter()
        self.executor.submit(SUM, data, time.monotonic() + 10, waiter, time.monotonic())
        return waiter


class Container:
    """A container's end, spoken by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._frames = FrameReader()
        self._ready: list[Frame] = []

    def say(self, message: bytes) -> None:
        self._writer.write(message)

    async def hear(self) -> Frame | None:
        """The next message, or None at the end of the connection."""
        while not self._ready:
            data = await asyncio.wait_for(self._reader.read(65536), 5)
            if not data:
                return None
            self._ready += self._frames.feed(data)
        return self._ready.pop(0)

    async def hang_up(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def run(test: Callable[[House, Callable[[], Awaitable[Container]]], Awaitable[None]], tmp_path: Path) -> None:
    async def main() -> None:
        house = House()
        path = str(tmp_path / "rpc.sock")
        await house.listener.listen_unix(path)

        containers: list[Container] = []

        async def connect() -> Container:
            containers.append(Container(*await asyncio.open_unix_connection(path)))
            return containers[-1]

        try:
            await test(house, connect)
        finally:
            for container in containers:
                await container.hang_up()
            house.listener.close()

    uvloop.run(asyncio.wait_for(main(), 20))


def test_hello_welcome_batch_outcomes(tmp_path: Path) -> None:
    async def test(house: House, connect: Callable[[], Awaitable[Container]]) -> None:
        container = await connect()
        container.say(wire.encode_hello(HELLO))
        welcome = await container.hear()
        assert welcome is not None
        assert welcome.kind == Kind.WELCOME
        assert [r.replica_id for r in house.reports[-1]] == [3]
        good, bad = house.submit(b"12345678"), house.submit(b"87654321")
        batch = await container.hear()
        assert batch is not None
        assert [bytes(each) for each in wire.decode_batch(batch)] == [b"12345678", b"87654321"]
        assert 9_000_000 < batch.budget_micros <= 10_000_000
        container.say(wire.encode_outcomes(batch.batch_id, [Outcome(True, b"1"), Outcome(False, b"ValueError: x")]))
        assert await good.heard.get() == ("output", b"1")
        assert await bad.heard.get() == ("failure", "model_error")

    run(test, tmp_path)


def test_goodbye_is_returned_and_the_replica_gets_nothing_more(tmp_path: Path) -> None:
    async def test(house: House, connect: Callable[[], Awaitable[Container]]) -> None:
        leaving, staying = await connect(), await connect()
        leaving.say(wire.encode_hello(HELLO))
        await leaving.hear()
        leaving.say(wire.encode_goodbye())
        goodbye = await leaving.hear()
        assert goodbye is not None
        assert goodbye.kind == Kind.GOODBYE
        staying.say(wire.encode_hello(Hello("sum", "1", "doubles", replica_id=4)))
        await staying.hear()
        house.submit(b"12345678")
        batch = await staying.hear()
        assert batch is not None
        assert batch.kind == Kind.BATCH

    run(test, tmp_path)


def test_a_lost_connection_gives_its_queries_to_another_and_is_reported(tmp_path: Path) -> None:
    async def test(house: House, connect: Callable[[], Awaitable[Container]]) -> None:
        first = await connect()
        first.say(wire.encode_hello(HELLO))
        await first.hear()
        waiter = house.submit(b"12345678")
        await first.hear()
        second = await connect()
        second.say(wire.encode_hello(Hello("sum", "1", "double", replica_id=None)))
        await second.hear()
        await first.hang_up()
        batch = await second.hear()
        assert batch is not None
        container_ids = [r.replica_id for r in house.reports[-1]]
        assert container_ids == [0], "a container without an id gets the first free one"
        second.say(wire.encode_outcomes(batch.batch_id, [Outcome(True, b"2")]))
        assert await waiter.heard.get() == ("output", b"2")
        await second.hang_up()
        last = house.submit(b"12345678")
        assert await last.heard.get() == ("failure", "no_replica")

    run(test, tmp_path)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (wire.encode_hello(Hello("sum", "1", "integers")), "registered with input type doubles"),
        (wire.encode_hello(Hello("sum", "1", "tensors")), "tensors is not a valid input string"),
        (wire.encode_hello(Hello("sum", "1", "doubles", protocol=99)), "protocol 99"),
        (wire.encode_goodbye(), "expected HELLO"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "announces"),
    ],
)
def test_containers_that_do_not_fit_are_told_why(message: bytes, reason: str, tmp_path: Path) -> None:
    async def test(house: House, connect: Callable[[], Awaitable[Container]]) -> None:
        container = await connect()
        container.say(message)
        refused = await container.hear()
        assert refused is not None
        assert refused.kind == Kind.REFUSED
        assert reason in wire.decode_text(refused)
        assert await container.hear() is None
        assert house.reports == []

    run(test, tmp_path)


def test_a_second_container_with_a_connected_id_is_refused(tmp_path: Path) -> None:
    async def test(house: House, connect: Callable[[], Awaitable[Container]]) -> None:
        first, second = await connect(), await connect()
        first.say(wire.encode_hello(HELLO))
        await first.hear()
        second.say(wire.encode_hello(HELLO))
        refused = await second.hear()
        assert refused is not None
        assert "already connected" in wire.decode_text(refused)

    run(test, tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        lambda batch_id: wire.encode_outcomes(batch_id, []),
        lambda batch_id: wire.encode_outcomes(batch_id + 1, [Outcome(True, b"1")]),
        lambda batch_id: wire.encode_frame(Kind.OUTCOMES, (b"\xff" * 8,), batch_id=batch_id, count=1),
        lambda batch_id: wire.encode_frame(Kind.OUTCOMES, (), batch_id=batch_id, count=1_000_000),
        lambda batch_id: wire.encode_welcome(),
        lambda batch_id: b"\xff" * 24,
    ],
)
def test_nonsense_ends_the_connection_and_loses_no_query(answer: Callable[[int], bytes], tmp_path: Path) -> None:
    async def test(house: House, connect: Callable[[], Awaitable[Container]]) -> None:
        container = await connect()
        container.say(wire.encode_hello(HELLO))
        await container.hear()
        waiter = house.submit(b"12345678")
        batch = await container.hear()
        assert batch is not None
        container.say(answer(batch.batch_id))
        assert await waiter.heard.get() == ("failure", "no_replica")
        assert house.reports[-1] == []

    run(test, tmp_path)


def test_a_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "rpc.sock"))

    async def test(house: House, connect: Callable[[], Awaitable[Container]]) -> None:
        container = await connect()
        container.say(wire.encode_hello(HELLO))
        assert await container.hear() is not None

    run(test, tmp_path)
