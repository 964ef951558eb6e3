"""Bounds on time: real ones, small, over sockets; the exact rules with a clock of our own."""

from __future__ import annotations

import pytest

from clipper.frontend.http import Exchange, Limits
from tests.clipper.frontend.http_harness import (
    VirtualLoop,
    echo,
    feed,
    recorded,
    refused,
    run,
    serving,
    until,
)

HASTY = Limits(header_seconds=0.3, content_seconds=0.3)


def test_a_client_that_does_not_read_its_answers_is_read_no_further_and_then_aborted():
    answered = 0

    def large(exchange: Exchange) -> None:
        nonlocal answered
        answered += 1
        exchange.reply(200, b"a" * 20_000)

    async def scenario():
        async with serving(large, HASTY) as served:
            client = await served.connect()
            client.writer.transport.pause_reading()
            # As much as the kernel takes: it must not end in our memory.
            client.writer.write(b"GET / HTTP/1.1\r\n\r\n" * 2_000_000)
            await until(lambda: answered > 0 and served.http.connections == 0)
            assert answered < 2 * 16_384 // 18 + 1000

    run(scenario())


@pytest.mark.parametrize("start", [b"P", b"POST / HTTP/1.1\r\nHost: "])
def test_slow_headers_are_a_408(start):
    async def scenario():
        async with serving(echo, HASTY) as served:
            client = await served.connect()
            await client.send(start)
            assert "headers did not come within 0.3 seconds" in await refused(client, 408)

    run(scenario())


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_slow_bodies_are_a_408(framing):
    async def scenario():
        async with serving(echo, HASTY) as served:
            client = await served.connect()
            await client.send(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n1")
            assert "body did not come within 0.3 seconds" in await refused(client, 408)

    run(scenario())


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n"])
def test_idle_connections_are_closed_silently(before):
    async def scenario():
        async with serving(echo, HASTY) as served:
            client = await served.connect()
            if before:
                await client.send(before)
            assert (await client.rest()).count(b"HTTP/") == before.count(b"HTTP/")

    run(scenario())


def test_a_trickle_of_headers_does_not_renew_the_time():
    loop = VirtualLoop()
    connection, transport = recorded(echo, Limits(header_seconds=5.0), loop)
    feed(connection, b"GET / HTTP/1.1\r\nA: ")
    for _ in range(5):
        assert not transport.writes
        loop.advance(1.2)
        feed(connection, b"b")
    assert transport.written.startswith(b"HTTP/1.1 408 ")


def test_each_time_limit_counts_from_its_own_start():
    loop = VirtualLoop()
    connection, transport = recorded(echo, Limits(header_seconds=5.0, content_seconds=60.0), loop)
    loop.advance(4.0)
    feed(connection, b"POST / HTTP/1.1\r\n")
    loop.advance(4.0)
    feed(connection, b"Content-Length: 3\r\n\r\na")
    loop.advance(58.0)
    feed(connection, b"bc")
    assert transport.written.endswith(b"/ abc")
    loop.advance(4.0)
    assert not transport.ended
    loop.advance(3.0)
    assert transport.ended


def test_time_the_handler_takes_is_not_the_clients():
    loop = VirtualLoop()
    waiting: list[Exchange] = []
    connection, transport = recorded(waiting.append, Limits(header_seconds=5.0), loop)
    feed(connection, b"GET /a HTTP/1.1\r\n\r\n")
    loop.advance(100.0)
    waiting.pop().reply(200, b"slow")
    loop.advance(4.0)
    assert transport.written.endswith(b"slow")
    assert not transport.ended
    feed(connection, b"GET /a HTTP/1.1\r\n\r\n")
    assert waiting[0].arrived == loop.now


def test_time_we_do_not_read_is_not_the_clients():
    loop = VirtualLoop()
    waiting: list[Exchange] = []
    connection, transport = recorded(waiting.append, Limits(header_seconds=5.0, pipeline=2), loop)
    feed(connection, b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HT")
    assert transport.paused
    loop.advance(100.0)
    for exchange in waiting:
        exchange.reply(200, b"")
    feed(connection, b"TP/1.1\r\n\r\n")
    waiting[-1].reply(200, b"c")
    assert transport.written.count(b"HTTP/1.1 200 OK") == 3


def test_a_refused_client_may_read_its_answer_for_a_while_but_not_for_ever():
    loop = VirtualLoop()
    connection, transport = recorded(echo, Limits(header_seconds=5.0, content_seconds=20.0), loop)
    aborted: list[float] = []
    transport.abort = lambda: aborted.append(loop.now)  # type: ignore[method-assign]
    start = loop.now
    feed(connection, b"nonsense\r\n\r\n")
    while not aborted:
        loop.advance(2.0)
        feed(connection, b"more nonsense")
    assert 20.0 <= aborted[0] - start <= 23.0


def test_without_connections_there_is_no_timer():
    loop = VirtualLoop()
    connection, _ = recorded(echo, loop=loop)
    assert len(loop.timers) == 1
    loop.advance(2.5)
    assert len(loop.timers) == 1
    connection.connection_lost(None)
    loop.advance(1.0)
    assert not loop.timers
