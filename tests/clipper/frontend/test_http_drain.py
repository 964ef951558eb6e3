"""The end of a server."""

from __future__ import annotations

import pytest

from clipper.frontend.http import Exchange
from clipper.frontend.limits import LINGER
from tests.clipper.frontend.http_harness import echo, feed, recorded, run, serving, until


def test_idle_connections_end_soon_and_new_ones_are_refused():
    async def scenario():
        async with serving(echo) as served:
            fresh, used = await served.connect(), await served.connect()
            assert (await used.ask(b"GET / HTTP/1.1\r\n\r\n")).status == 200
            await until(lambda: served.http.connections == 2)
            served.http.begin_drain()
            assert await fresh.rest() == await used.rest() == b""
            assert await served.http.drained(5.0)
            assert served.http.connections == 0
            late = await (await served.connect()).response()
            assert late.status == 503
            assert late.headers[b"retry-after"] == b"1"

    run(scenario())


def test_a_request_that_was_sent_when_the_end_began_is_answered():
    async def scenario():
        async with serving(echo) as served:
            client = await served.connect()
            assert (await client.ask(b"GET /a HTTP/1.1\r\n\r\n")).status == 200
            served.http.begin_drain()
            last = await client.ask(b"GET /b HTTP/1.1\r\n\r\n")
            assert (last.status, last.headers[b"connection"]) == (200, b"close")
            assert await client.rest() == b""
            assert await served.http.drained(5.0)

    run(scenario())


def test_a_connection_that_is_idle_for_long_ends_at_once():
    connection, transport = recorded(echo)
    feed(connection, b"GET /a HTTP/1.1\r\n\r\n")
    connection.begin_drain(connection._last_read + LINGER + 0.001)
    assert transport.ended


def test_requests_under_way_are_answered_and_told_of_the_end():
    waiting: list[Exchange] = []

    async def scenario():
        async with serving(waiting.append) as served:
            client = await served.connect()
            await client.send(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
            await until(lambda: len(waiting) == 2)
            served.http.begin_drain()
            waiting[1].reply(200, b"b")
            waiting[0].reply(200, b"a")
            first, second = await client.response(), await client.response()
            assert b"connection" not in first.headers
            assert (first.body, second.body) == (b"a", b"b")
            assert second.headers[b"connection"] == b"close"
            assert await client.rest() == b""
            assert await served.http.drained(5.0)

    run(scenario())


@pytest.mark.parametrize("cut", [1, 20, 45])
def test_a_request_that_is_coming_in_is_served(cut):
    request = b"POST /a HTTP/1.1\r\nContent-Length: 20\r\n\r\n" + b"a" * 20
    connection, transport = recorded(echo)
    feed(connection, request + request[:cut])
    connection.drain()
    feed(connection, request[cut:] + request)
    first, second = transport.writes
    assert first.endswith(b"/a " + b"a" * 20)
    assert second.endswith(b"Connection: close\r\n\r\n/a " + b"a" * 20)
    assert transport.ended


def test_after_the_time_out_the_rest_is_aborted():
    waiting: list[Exchange] = []

    async def scenario():
        async with serving(waiting.append) as served:
            client = await served.connect()
            await client.send(b"GET /a HTTP/1.1\r\n\r\n")
            await until(lambda: len(waiting) == 1)
            served.http.begin_drain()
            assert not await served.http.drained(0.05)
            await until(lambda: served.http.connections == 0)
            assert waiting[0].closed
            assert await client.rest() == b""

    run(scenario())


def test_a_drain_begun_by_the_handler():
    def stop(exchange: Exchange) -> None:
        connection.drain()
        exchange.reply(200, b"last")

    connection, transport = recorded(stop)
    feed(connection, b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    assert transport.written.count(b"HTTP/1.1 200 OK") == 1
    assert b"Connection: close" in transport.written
    assert transport.ended


def test_a_drain_begun_by_the_handler_after_its_answer():
    def stop(exchange: Exchange) -> None:
        exchange.reply(200, b"last")
        connection.drain()

    connection, transport = recorded(stop)
    feed(connection, b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
    assert transport.written.count(b"HTTP/1.1 200 OK") == 1
    assert transport.ended
