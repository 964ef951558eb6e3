"""A direct writer over real sockets, with uvloop's transports."""

from __future__ import annotations

import asyncio
import socket

import uvloop

from clipper.sockets import DirectWriter


def run(scenario) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


async def connected() -> tuple[asyncio.Transport, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, sock=ours)
    return transport, theirs


def test_what_is_written_is_there_before_the_loop_turns():
    async def scenario():
        transport, theirs = await connected()
        theirs.settimeout(1)
        DirectWriter(transport).write(b"now")
        assert theirs.recv(10) == b"now"
        transport.close()
        theirs.close()

    run(scenario)


def test_more_than_the_socket_takes_arrives_whole_and_in_order():
    async def scenario():
        transport, theirs = await connected()
        writer = DirectWriter(transport)
        pieces = [bytes([number]) * 300_000 for number in range(20)]
        for piece in pieces:
            writer.write(piece)
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        received = bytearray()
        while len(received) < 20 * 300_000:
            received += await loop.sock_recv(theirs, 1 << 20)
        assert received == b"".join(pieces)
        transport.close()
        theirs.close()

    run(scenario)


def test_nothing_is_written_once_the_transport_closes():
    async def scenario():
        transport, theirs = await connected()
        writer = DirectWriter(transport)
        transport.close()
        writer.write(b"late")
        await asyncio.sleep(0)
        theirs.settimeout(1)
        assert theirs.recv(10) == b""
        theirs.close()

    run(scenario)


def test_a_client_that_is_gone_is_the_transports_affair():
    async def scenario():
        transport, theirs = await connected()
        theirs.close()
        writer = DirectWriter(transport)
        writer.write(b"to nobody")
        while not transport.is_closing():
            await asyncio.sleep(0.001)
        writer.write(b"still to nobody")

    run(scenario)
