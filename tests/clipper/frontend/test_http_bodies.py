"""Bodies, and what goes before them, over real sockets."""

from __future__ import annotations

import pytest

from clipper.frontend.http import Exchange
from tests.clipper.frontend.http_harness import (
    echo,
    run,
    serving,
    until,
)


def test_chunked_bodies():
    seen: list[Exchange] = []

    def keep(exchange: Exchange) -> None:
        seen.append(exchange)
        echo(exchange)

    async def scenario():
        async with serving(keep) as served:
            client = await served.connect()
            await client.send(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nA: 1\r\n\r\n3;x=y\r\nabc\r\n")
            response = await client.ask(b"2\r\nde\r\n0\r\nTrailer: 1\r\nA: 2\r\n\r\n")
            assert response.body == b"/a abcde"
            assert seen[0].header(b"trailer") is None
            assert seen[0].header(b"a") == b"1"

    run(scenario())


def test_a_body_of_many_reads_is_whole():
    body = bytes(range(256)) * 20_000
    received: list[bytes] = []

    def keep(exchange: Exchange) -> None:
        received.append(bytes(exchange.body))
        exchange.reply(200, exchange.body)

    async def scenario():
        async with serving(keep) as served:
            client = await served.connect()
            head = b"POST /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
            assert (await client.ask(head + body)).body == body
            assert received == [body]

    run(scenario())


def test_a_body_of_thousands_of_tiny_chunks_is_whole():
    body = bytes(range(256)) * 40

    async def scenario():
        async with serving(lambda exchange: exchange.reply(200, exchange.body)) as served:
            client = await served.connect()
            chunks = b"".join(b"2\r\n%b\r\n" % body[at : at + 2] for at in range(0, len(body), 2))
            head = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            for _ in range(2):
                assert (await client.ask(head + chunks + b"0\r\n\r\n")).body == body

    run(scenario())


def test_expect_100_continue():
    async def scenario():
        async with serving(echo) as served:
            client = await served.connect()
            head = b"POST /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            response = await client.ask(head)
            assert (response.status, response.body) == (100, b"")
            assert (await client.ask(b"abc")).body == b"/a abc"
            assert (await client.ask(head + b"abc")).body == b"/a abc"  # it did not wait: no 100

    run(scenario())


def test_100_continue_comes_after_the_answers_before_it():
    waiting: list[Exchange] = []

    async def scenario():
        async with serving(waiting.append) as served:
            client = await served.connect()
            head = b"POST /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            await client.send(b"GET /a HTTP/1.1\r\n\r\n" + head)
            await until(lambda: len(waiting) == 1)
            waiting.pop().reply(200, b"first")
            assert [(await client.response()).status for _ in range(2)] == [200, 100]
            # Impatient: the body comes though the 100 has to wait, and must not follow the answer any more.
            await client.send(b"abcGET /c HTTP/1.1\r\n\r\n" + head)
            await until(lambda: len(waiting) == 2)
            await client.send(b"abc")
            await until(lambda: len(waiting) == 3)
            for exchange in waiting:
                exchange.reply(200, exchange.path)
            await client.send(b"GET /d HTTP/1.1\r\nConnection: close\r\n\r\n")
            await until(lambda: len(waiting) == 4)
            waiting.pop().reply(200, b"")
            assert b"100 Continue" not in await client.rest()

    run(scenario())


def test_http_1_0_gets_no_100():
    async def scenario():
        async with serving(echo) as served:
            client = await served.connect()
            await client.send(b"POST /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            await until(lambda: served.http.connections == 1)
            assert (await client.ask(b"abc")).status == 200

    run(scenario())


@pytest.mark.parametrize("body", [b"", b"abc", b"a" * 200_000])
def test_an_offer_to_upgrade_is_declined_by_serving_the_request(body):
    async def scenario():
        async with serving(echo) as served:
            client = await served.connect()
            offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
            request = b"POST /a HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (offer, len(body), body)
            await client.send(request + request + b"GET /b HTTP/1.1\r\n\r\n")
            assert [(await client.response()).body for _ in range(3)] == [b"/a " + body, b"/a " + body, b"/b "]

    run(scenario())
