"""The bare prototype: uvloop + httptools + batches over a Unix socket to one model process, and nothing else.

No deadline, no cache, no metrics, no errors, one application: what batching over two processes costs in Python at
least. Run as a process: ``python -m benchmarks.prototype PORT``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from array import array

import httptools
import msgspec
import numpy as np

from benchmarks import pair

RESPONSE = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{"query_id":%d,"output":%b,'
    b'"default":false}'
)
FRAME = 39  # what stands around the output in the response's body, without the digits of the id
WIDTH = 10
IN_FLIGHT = 2


class Body(msgspec.Struct, gc=False):
    input: list[float]


decode = msgspec.json.Decoder(Body).decode


class Model(asyncio.Protocol):
    """The frontend's end of the connection to the model process: batches go out while few are in flight."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Client, bytes]] = []
        self.sent: list[list[tuple[Client, bytes]]] = []
        self.woken = False
        self.received = b""
        self.queries = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, client: Client, data: bytes) -> None:
        self.waiting.append((client, data))
        if not self.woken:
            self.woken = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        self.woken = False
        if self.waiting and len(self.sent) < IN_FLIGHT:
            batch, self.waiting = self.waiting, []
            self.sent.append(batch)
            body = b"".join([data for _, data in batch])
            self.transport.write(struct.pack("<I", len(body)) + body)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.received += data
        while len(self.received) >= 4:
            (size,) = struct.unpack_from("<I", self.received)
            if len(self.received) < 4 + size:
                return
            outputs, self.received = self.received[4 : 4 + size].split(b"\n"), self.received[4 + size :]
            batch = self.sent.pop(0)
            self.flush()
            for (client, _), output in zip(batch, outputs, strict=True):
                self.queries += 1
                length = FRAME + len(b"%d" % self.queries) + len(output)
                if client.open:
                    client.transport.write(RESPONSE % (length, self.queries, output))  # type: ignore[attr-defined]


class Client(asyncio.Protocol):
    def __init__(self, model: Model) -> None:
        self.model = model
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        body, self.body = self.body, b""
        self.model.ask(self, array("d", decode(body).input).tobytes())


def serve_model(connection: socket.socket) -> None:
    """The model process: the sum of each row, as the text of a number."""
    stream = connection.makefile("rwb")
    while header := stream.read(4):
        (size,) = struct.unpack("<I", header)
        rows = np.frombuffer(stream.read(size), np.float64).reshape(-1, WIDTH)
        body = "\n".join([str(sum(row)) for row in rows.tolist()]).encode()
        stream.write(struct.pack("<I", len(body)) + body)
        stream.flush()


if __name__ == "__main__":
    pair.run(int(sys.argv[1]), serve_model, Model, Client)
