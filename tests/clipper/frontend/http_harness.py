"""A served handler on a real loopback socket, a client for raw bytes, and a transport that only records."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvloop

from clipper.frontend.connection import Connection
from clipper.frontend.http import Exchange, Handler, HttpServer, Limits

LONGEST_TEST_SECONDS = 20.0


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Runs a test on uvloop; whatever in it waits for ever, fails it."""

    async def bounded() -> None:
        async with asyncio.timeout(LONGEST_TEST_SECONDS):
            await scenario

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop turn until ``condition`` holds; ``run`` bounds it."""
    while not condition():
        await asyncio.sleep(0.001)


def echo(exchange: Exchange) -> None:
    exchange.reply(200, exchange.path + b" " + bytes(exchange.body))


@dataclass
class Response:
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def response(self, *, to_head: bool = False) -> Response:
        head = await self.reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        length = 0 if to_head else int(headers.get(b"content-length", b"0"))
        return Response(int(status_line.split()[1]), headers, await self.reader.readexactly(length))

    async def ask(self, request: bytes) -> Response:
        await self.send(request)
        return await self.response()

    async def send_for_ever(self) -> None:
        while True:
            await self.send(b"a" * 100_000)

    async def rest(self) -> bytes:
        """All that comes until the server ends the connection."""
        return await self.reader.read()

    def reset(self) -> None:
        """Goes as a killed client does."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class Served:
    http: HttpServer
    listener: asyncio.Server
    port: int
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


async def refused(client: Client, status: int) -> str:
    """Reads an answer that must be the last one; its cause."""
    response = await client.response()
    assert response.status == status, response
    assert response.headers[b"connection"] == b"close"
    assert await client.rest() == b""
    return json.loads(response.body)["cause"]


@asynccontextmanager
async def serving(handler: Handler, limits: Limits | None = None) -> AsyncIterator[Served]:
    loop = asyncio.get_running_loop()
    http = HttpServer(handler, limits or Limits(), loop)
    listener = await loop.create_server(http.protocol, "127.0.0.1", 0)
    served = Served(http, listener, listener.sockets[0].getsockname()[1])
    try:
        yield served
    finally:
        listener.close()
        for client in served.clients:
            client.writer.transport.abort()
        http.begin_drain()
        await http.drained(1.0)
        await until(lambda: http.connections == 0)


class RecordedTransport(asyncio.Transport):
    """Takes what a connection writes, and notes what it does to the socket."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.ended = False
        self.paused = False

    def write(self, data: Any) -> None:
        assert not self.ended
        self.writes.append(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.ended

    def get_write_buffer_size(self) -> int:
        return 0

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)


class VirtualLoop:
    """As much of an event loop as a server needs, with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.timers.append((self.now + delay, callback))

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [each for each in self.timers if each[0] <= end]:
            first = min(due, key=lambda each: each[0])
            self.timers.remove(first)
            self.now = first[0]
            first[1]()
        self.now = end


def recorded(
    handler: Handler, limits: Limits | None = None, loop: VirtualLoop | None = None
) -> tuple[Connection, RecordedTransport]:
    """A connection of a server of its own, without a socket."""
    server = HttpServer(handler, limits or Limits(), loop or VirtualLoop())  # type: ignore[arg-type]
    connection = Connection(server)
    transport = RecordedTransport()
    connection.connection_made(transport)
    return connection, transport


def feed(connection: Connection, data: bytes) -> None:
    """One read of ``data``, or as many as its size takes."""
    for start in range(0, len(data), 262_144):
        connection.data_received(data[start : start + 262_144])
