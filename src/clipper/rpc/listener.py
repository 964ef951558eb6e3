"""The frontend's end of the connections to model containers: bytes to events, batches to bytes."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, cast

from clipper.rpc import wire
from clipper.rpc.wire import Frame, FrameReader, Hello, Kind, Outcomes, WireError
from clipper.sockets import DirectWriter

log = logging.getLogger(__name__)

HELLO_SECONDS = 5.0


class Refused(Exception):
    """The container can't serve here; the reason is sent to it."""


class Containers(Protocol):
    """Who is told what happens on the connections."""

    def admit(self, hello: Hello) -> None:
        """A container wants to join. Raises ``Refused`` to turn it away."""
        ...

    def joined(self, connection: ContainerConnection, hello: Hello) -> None:
        """A container that was admitted waits for batches."""
        ...

    def answered(self, connection: ContainerConnection, batch_id: int, outcomes: Outcomes, worked: float) -> bool:
        """A batch came back after ``worked`` seconds in the container (0: not told); False if it doesn't fit."""
        ...

    def draining(self, connection: ContainerConnection) -> None: ...

    def left(self, connection: ContainerConnection) -> None:
        """The connection of a container that had joined is gone."""
        ...


class ContainerConnection:
    """One container: an ``asyncio.Protocol`` in all but inheritance, and the ``Link`` of a replica."""

    def __init__(self, containers: Containers, open_connections: set[ContainerConnection]) -> None:
        self._containers = containers
        self._open = open_connections
        self._reader = FrameReader(wire.MAX_OUTCOMES)
        self._handler: Callable[[Frame], None] = self._greet
        self._joined = False
        self._name = "a container that has not said hello"
        self._transport: asyncio.Transport | None = None
        self._writer: DirectWriter | None = None
        self._patience: asyncio.TimerHandle | None = None

    # -- as a Link -------------------------------------------------------------------------------------------------

    def send_batch(
        self, batch_id: int, inputs: list[bytes], budget_micros: int, request_ids: Sequence[str] = ()
    ) -> None:
        if self._writer is not None:
            self._writer.write(wire.encode_batch(batch_id, inputs, budget_micros, request_ids))

    def close(self, reason: str) -> None:
        log.warning("closing the connection of %s: %s", self._name, reason)
        if self._transport is not None:
            self._transport.write(wire.encode_refused(reason))
            self._transport.close()

    # -- as a protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio.Transport by inheritance, only by what they do.
        self._transport = cast(asyncio.Transport, transport)
        self._writer = DirectWriter(self._transport)
        self._open.add(self)
        _keep_alive(self._transport)
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(HELLO_SECONDS, self._lose_patience)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self._handler(frame)
        except WireError as error:
            self.close(str(error))

    def pause_writing(self) -> None:
        """Nothing: few batches are in flight, so that little can pile up."""

    def resume_writing(self) -> None: ...

    def eof_received(self) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self._transport = self._writer = None
        if self._patience is not None:
            self._patience.cancel()
        if self._joined:
            log.info("lost contact with %s", self._name)
            self._containers.left(self)

    # -- messages --------------------------------------------------------------------------------------------------

    def _greet(self, frame: Frame) -> None:
        hello = wire.decode_hello(frame)
        replica = "" if hello.replica_id is None else f"replica {hello.replica_id}, "
        self._name = f"container {hello.model_name}:{hello.model_version} ({replica}pid {hello.pid})"
        assert self._transport is not None
        assert self._patience is not None
        self._patience.cancel()
        try:
            self._containers.admit(hello)
        except Refused as refusal:
            self.close(str(refusal))
            return
        self._transport.write(wire.encode_welcome())
        self._handler = self._serve
        self._joined = True
        self._containers.joined(self, hello)
        log.info("connected: %s", self._name)

    def _serve(self, frame: Frame) -> None:
        if frame.kind == Kind.OUTCOMES:
            if not self._containers.answered(
                self, frame.batch_id, wire.decode_outcomes(frame), frame.budget_micros / 1e6
            ):
                raise WireError(
                    f"{frame.items} outcomes for batch {frame.batch_id}, which is not in flight or of that size"
                )
        elif frame.kind == Kind.GOODBYE:
            self._containers.draining(self)
            assert self._transport is not None
            self._transport.write(wire.encode_goodbye())
        else:
            raise WireError(f"a container does not send messages of kind {frame.kind}")

    def _lose_patience(self) -> None:
        self.close(f"no HELLO within {HELLO_SECONDS:g} s")


class Listener:
    """The sockets that containers connect to."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers
        self._open: set[ContainerConnection] = set()
        self._servers: list[asyncio.Server] = []

    async def listen_unix(self, path: str) -> None:
        """Listens on a socket file that only this user can open; a left-over file is replaced."""
        loop = asyncio.get_running_loop()
        Path(path).unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(path)
        os.chmod(path, 0o600)
        self._servers.append(await loop.create_unix_server(self._connection, sock=listening))

    async def listen_tcp(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._connection, host, port))

    def close(self) -> None:
        """Stops listening and hangs up; the containers look for another frontend, or for this one's successor."""
        for server in self._servers:
            server.close()
        for connection in list(self._open):
            if connection._transport is not None:
                connection._transport.close()

    def _connection(self) -> asyncio.Protocol:
        return cast(asyncio.Protocol, ContainerConnection(self._containers, self._open))


def _keep_alive(transport: asyncio.Transport) -> None:
    """A machine that vanished without a word is noticed by the kernel, in about half a minute."""
    raw = transport.get_extra_info("socket")
    if raw is None or raw.family == socket.AF_UNIX:
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
