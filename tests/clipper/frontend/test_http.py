"""Requests and answers over real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from clipper.frontend.http import Exchange
from tests.clipper.frontend.http_harness import echo, run, serving, until


def test_an_answer_to_the_byte():
    async def scenario():
        async with serving(lambda e: e.reply(405, b"{}", headers=b"Allow: POST\r\n")) as served:
            client = await served.connect()
            await client.send(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert await client.rest() == (
                b"HTTP/1.1 405 Method Not Allowed\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                b"Allow: POST\r\nConnection: close\r\n\r\n{}"
            )

    run(scenario())


def test_what_the_handler_sees():
    seen: list[Exchange] = []

    def keep(exchange: Exchange) -> None:
        seen.append(exchange)
        exchange.reply(200, memoryview(b"ok"), b"text/plain")

    async def scenario():
        async with serving(keep) as served:
            client = await served.connect()
            before = asyncio.get_running_loop().time()
            response = await client.ask(
                b"POST /caf%C3%A9/predict?x=1&y=?2 HTTP/1.1\r\nHost: x\r\nX-Request-ID: 7\r\nx-request-id: 8\r\n"
                b"Empty:\r\nContent-Length: 4\r\n\r\nbody"
            )
            assert (response.status, response.headers[b"content-type"], response.body) == (200, b"text/plain", b"ok")
            (exchange,) = seen
            assert (exchange.method, exchange.path, exchange.query_string, exchange.body) == (
                b"POST",
                b"/caf%C3%A9/predict",
                b"x=1&y=?2",
                b"body",
            )
            assert exchange.header(b"x-request-id") == b"7"
            assert exchange.header(b"empty") == b""
            assert exchange.header(b"accept") is None
            assert before - 0.01 <= exchange.arrived <= asyncio.get_running_loop().time()
            assert not exchange.closed

    run(scenario())


@pytest.mark.parametrize(
    ("request_line", "path"),
    [
        (b"GET http://host:80/a/b?c HTTP/1.1", b"/a/b"),
        (b"GET http://host HTTP/1.1", b"/"),
        (b"GET http://host?c=/ HTTP/1.1", b"/"),
        (b"OPTIONS * HTTP/1.1", b"*"),
        (b"PROPFIND /a HTTP/1.1", b"/a"),
    ],
)
def test_forms_of_a_target_and_methods_reach_the_handler(request_line, path):
    async def scenario():
        async with serving(echo) as served:
            client = await served.connect()
            assert (await client.ask(request_line + b"\r\nHost: host\r\n\r\n")).body == path + b" "

    run(scenario())


@pytest.mark.parametrize(
    ("head", "stays", "header"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", True, None),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", False, b"close"),
        (b"GET / HTTP/1.0\r\n\r\n", False, b"close"),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", True, b"keep-alive"),
    ],
)
def test_keep_alive(head, stays, header):
    async def scenario():
        async with serving(echo) as served:
            client = await served.connect()
            response = await client.ask(head)
            assert response.headers.get(b"connection") == header
            if stays:
                assert (await client.ask(head)).status == 200
            else:
                assert await client.rest() == b""

    run(scenario())


def test_pipelined_requests_are_answered_in_order_whatever_is_ready_first():
    waiting: list[Exchange] = []

    async def scenario():
        async with serving(waiting.append) as served:
            client = await served.connect()
            await client.send(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % n for n in range(8)))
            await until(lambda: len(waiting) == 8)
            for exchange in (waiting[n] for n in (3, 7, 0, 2, 1, 6, 5, 4)):
                exchange.reply(200, exchange.path)
            assert [(await client.response()).body for _ in range(8)] == [b"/%d" % n for n in range(8)]

    run(scenario())


def test_requests_after_the_last_one_are_not_taken():
    seen: list[bytes] = []

    def note(exchange: Exchange) -> None:
        seen.append(exchange.path)
        exchange.reply(200, b"")

    async def scenario():
        async with serving(note) as served:
            client = await served.connect()
            await client.send(
                b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nConnection: close\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"
            )
            assert (await client.rest()).count(b"HTTP/1.1 200") == 2
            assert seen == [b"/1", b"/2"]

    run(scenario())


def test_the_answer_to_head_has_no_body():
    async def scenario():
        async with serving(lambda e: e.reply(200, b"four")) as served:
            client = await served.connect()
            await client.send(b"HEAD / HTTP/1.1\r\n\r\n")
            assert (await client.response(to_head=True)).headers[b"content-length"] == b"4"
            assert (await client.ask(b"GET / HTTP/1.1\r\n\r\n")).body == b"four"

    run(scenario())


def test_a_handler_that_raises_is_answered_500_and_the_connection_lives_on(caplog):
    def fail(exchange: Exchange) -> None:
        if exchange.path == b"/late":
            exchange.reply(200, b"ok")
        if exchange.path != b"/good":
            raise ZeroDivisionError("seeded")
        exchange.reply(200, b"ok")

    async def scenario():
        async with serving(fail) as served:
            client = await served.connect()
            response = await client.ask(b"GET /bad HTTP/1.1\r\n\r\n")
            assert response.status == 500
            assert json.loads(response.body)["error"] == "Internal error"
            assert "ZeroDivisionError: seeded" in caplog.text
            assert (await client.ask(b"GET /late HTTP/1.1\r\n\r\n")).status == 200
            assert (await client.ask(b"GET /good HTTP/1.1\r\n\r\n")).status == 200

    run(scenario())


def test_a_second_reply_is_an_error_of_the_caller():
    waiting: list[Exchange] = []

    async def scenario():
        async with serving(waiting.append) as served:
            client = await served.connect()
            await client.send(b"GET /a HTTP/1.1\r\n\r\n")
            await until(lambda: bool(waiting))
            waiting[0].reply(200, b"1")
            with pytest.raises(RuntimeError, match="answered already"):
                waiting[0].reply(200, b"2")
            assert (await client.response()).body == b"1"

    run(scenario())


def test_a_client_that_ends_its_sending_has_gone():
    waiting: list[Exchange] = []

    async def scenario():
        async with serving(waiting.append) as served:
            client = await served.connect()
            await client.send(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /part")
            await until(lambda: len(waiting) == 2)
            client.writer.write_eof()
            await until(lambda: all(exchange.closed for exchange in waiting))
            assert await client.rest() == b""

    run(scenario())


def test_the_open_exchanges_of_a_client_that_goes_are_closed():
    waiting: list[Exchange] = []

    async def scenario():
        async with serving(waiting.append) as served:
            client = await served.connect()
            await client.send(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
            await until(lambda: len(waiting) == 2)
            waiting[1].reply(200, b"never seen")
            client.reset()
            await until(lambda: served.http.connections == 0)
            assert [each.closed for each in waiting] == [True, True]
            waiting[0].reply(200, b"a no-op")
            with pytest.raises(RuntimeError):
                waiting[0].reply(200, b"but only once")

    run(scenario())
