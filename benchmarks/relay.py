"""The bare two-process echo: what a request costs that crosses to another process and back, one at a time.

uvloop + httptools in front, a Unix socket to a process that sends everything back: the same sockets as Clipper's, and
nothing done. Run as a process: ``python -m benchmarks.relay PORT``.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque

import httptools

from benchmarks import pair
from benchmarks.floor import RESPONSE


class Mirror(asyncio.Protocol):
    """The front's end of the connection to the other process: what comes back goes to whoever asked first."""

    def __init__(self) -> None:
        self.asked: deque[tuple[Client, int]] = deque()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, client: Client, body: bytes) -> None:
        self.asked.append((client, len(body)))
        self.transport.write(body)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.received += data
        while self.asked and len(self.received) >= self.asked[0][1]:
            client, size = self.asked.popleft()
            body, self.received = self.received[:size], self.received[size:]
            if client.open:
                client.transport.write(RESPONSE % (size, body))  # type: ignore[attr-defined]


class Client(asyncio.Protocol):
    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self.body = b""
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        body, self.body = self.body, b""
        self.mirror.ask(self, body)


def send_back(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


if __name__ == "__main__":
    pair.run(int(sys.argv[1]), send_back, Mirror, Client)
