"""Requests whose head was seen before are read as if it had not been."""

from __future__ import annotations

from clipper.frontend.exchange import Exchange
from clipper.frontend.heads import KnownHeads
from clipper.frontend.reader import IDLE
from tests.clipper.frontend.http_harness import Client, echo, run, serving, until

HEAD = b"POST /a?x=1 HTTP/1.1\r\nHost: x\r\nX-Other: 7\r\nContent-Length: 4\r\n\r\n"


def described(exchange: Exchange) -> None:
    echo(exchange)
    assert (exchange.method, exchange.query_string, exchange.header(b"x-other")) == (b"POST", b"x=1", b"7")


async def asked(client: Client, *parts: bytes) -> bytes:
    for part in parts[:-1]:
        await client.send(part)
    return (await client.ask(parts[-1])).body


def test_a_known_head_serves_other_bodies_on_other_connections():
    async def scenario():
        async with serving(described) as served:
            first, second = await served.connect(), await served.connect()
            for client in (first, first, second):
                for body in (b"abcd", b"efgh", b"\r\n\r\n"):
                    assert await asked(client, HEAD + body) == b"/a " + body
            assert len(served.http.known_heads._heads) == 1

    run(scenario())


def test_a_request_with_a_known_head_may_come_in_pieces_or_with_others():
    async def scenario():
        async with serving(described) as served:
            client = await served.connect()
            assert await asked(client, HEAD + b"abcd") == b"/a abcd"
            assert await asked(client, HEAD + b"ab", b"cd") == b"/a abcd"
            assert await asked(client, HEAD[:10], HEAD[10:] + b"abcd") == b"/a abcd"
            await client.send(HEAD + b"1234" + HEAD + b"5678")
            assert [(await client.response()).body for _ in range(2)] == [b"/a 1234", b"/a 5678"]
            assert await asked(client, HEAD + b"last") == b"/a last"

    run(scenario())


def test_a_head_with_a_request_id_is_not_remembered():
    """The next one has another: they would push out those that come again."""

    async def scenario():
        async with serving(echo) as served:
            client = await served.connect()
            named = b"POST /a HTTP/1.1\r\nX-Request-Id: %d\r\nContent-Length: 2\r\n\r\nab"
            for number in (1, 1, 2):
                answer = await client.ask(named % number)
                assert answer.headers[b"x-request-id"] == b"%d" % number
            assert len(served.http.known_heads._heads) == 0

    run(scenario())


def test_a_body_that_is_refused_for_its_size_is_answered_with_the_id():
    async def scenario():
        async with serving(echo) as served:
            client = await served.connect()
            await client.send(b"POST /a HTTP/1.1\r\nX-Request-Id: large\r\nContent-Length: 99999999999\r\n\r\nab")
            answer = await client.response()
            assert (answer.status, answer.headers[b"x-request-id"]) == (413, b"large")

    run(scenario())


def test_what_ends_a_connection_or_is_framed_otherwise_is_not_remembered():
    requests = (
        b"POST /a HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab",
        b"POST /a HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: 2\r\nA: " + b"a" * 1100 + b"\r\n\r\nab",
    )

    async def scenario():
        async with serving(echo) as served:
            for request in requests:
                for _ in range(2):
                    client = await served.connect()
                    assert await asked(client, request) == b"/a ab"
            assert served.http.known_heads._heads == {}

    run(scenario())


def test_a_request_with_a_known_head_is_the_last_one_when_the_server_drains():
    async def scenario():
        async with serving(echo) as served:
            client = await served.connect()
            assert await asked(client, HEAD + b"abcd") == b"/a abcd"
            await client.send(HEAD[:5])
            (connection,) = served.http._connections
            await until(lambda: connection._reader.phase != IDLE)
            served.http.begin_drain()
            response = await client.ask(HEAD[5:] + b"abcd")
            assert response.headers[b"connection"] == b"close"

    run(scenario())


def test_the_number_of_known_heads_is_bounded():
    known = KnownHeads()
    for number in range(3000):
        exchange = Exchange(None, b"GET", b"/%d" % number, b"", {}, 0.0)  # type: ignore[arg-type]
        known.learn(b"GET /%d HTTP/1.1\r\n\r\n" % number, exchange)
    assert 0 < len(known._heads) <= 1024
    assert known.get(b"GET /2999 HTTP/1.1\r\n\r\n").path == b"/2999"
