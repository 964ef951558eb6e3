"""Bounds on size and number."""

from __future__ import annotations

import asyncio
import socket

import pytest

from clipper.frontend.http import Exchange, Limits
from tests.clipper.frontend.http_harness import (
    echo,
    feed,
    recorded,
    refused,
    run,
    serving,
    until,
)

SMALL = Limits(body_bytes=1000, header_bytes=2000)


def test_a_body_at_the_bound_passes():
    async def scenario():
        async with serving(echo, SMALL) as served:
            client = await served.connect()
            assert (await client.ask(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + b"a" * 1000)).status == 200

    run(scenario())


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_body_announced_over_the_bound_is_refused_before_it_comes(expect):
    async def scenario():
        async with serving(echo, SMALL) as served:
            client = await served.connect()
            await client.send(b"POST / HTTP/1.1\r\n" + expect + b"Content-Length: 1001\r\n\r\n")
            assert "limit of 1000 bytes" in await refused(client, 413)

    run(scenario())


def test_a_chunked_body_that_grows_over_the_bound_is_refused():
    async def scenario():
        async with serving(echo, SMALL) as served:
            client = await served.connect()
            await client.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
            await client.send(b"64\r\n%b\r\n" % (b"a" * 100) * 11)
            assert "limit of 1000 bytes" in await refused(client, 413)

    run(scenario())


@pytest.mark.parametrize("framing", [b"Content-Length: 40000000", b"Transfer-Encoding: chunked"])
def test_the_413_reaches_a_client_that_sends_40_mb_before_it_reads(framing):
    def ask(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
            for _ in range(40):
                block = b"a" * 1_000_000
                sock.sendall(b"f4240\r\n%b\r\n" % block if b"chunked" in framing else block)
            return b"".join(iter(lambda: sock.recv(65536), b""))

    async def scenario():
        async with serving(echo) as served:
            answer = await asyncio.to_thread(ask, served.port)
            assert answer.startswith(b"HTTP/1.1 413 ")
            await until(lambda: served.http.connections == 0)

    run(scenario())


def test_a_refused_client_that_never_stops_sending_is_cut_off():
    async def scenario():
        async with serving(echo, SMALL) as served:
            client = await served.connect()
            await client.send(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
            with pytest.raises(ConnectionError):
                await client.send_for_ever()
            await until(lambda: served.http.connections == 0)

    run(scenario())


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"b" * 3000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(300)) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"a" * 3000,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: " + b"b" * 80_000,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1;" + b"b" * 80_000,
    ],
    ids=["url", "one header", "many headers", "no end", "trailers", "chunk extension"],
)
@pytest.mark.parametrize("step", [100_000, 1600, 701, 7])
def test_headers_over_the_bound_are_refused(head, step):
    connection, transport = recorded(echo, SMALL)
    good = b"GET /good HTTP/1.1\r\n\r\n"
    feed(connection, good)
    for start in range(0, len(head), step):
        feed(connection, head[start : start + step])
    feed(connection, b"b" * 2000)  # a line that has not ended counts from the read after its first
    good_answer, refusal = transport.writes
    assert good_answer.endswith(b"/good ")
    assert refusal.startswith(b"HTTP/1.1 431 ")
    assert b"limit of 2000 bytes" in refusal
    assert transport.ended


@pytest.mark.parametrize("step", [100_000, 1600, 701, 7])
def test_headers_within_the_bound_pass_whatever_comes_with_them(step):
    connection, transport = recorded(echo, SMALL)
    head = b"POST /a HTTP/1.1\r\nA: " + b"b" * 1800 + b"\r\nContent-Length: 900\r\n\r\n" + b"c" * 900
    for start in range(0, len(head) * 20, step):
        feed(connection, (head * 20)[start : start + step])
    assert transport.written.count(b"HTTP/1.1 200 OK") == 20


def test_a_long_run_of_tiny_chunks_is_no_overlong_head():
    connection, transport = recorded(echo, SMALL)
    feed(connection, b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(999):
        feed(connection, b"1;extension=1\r\n")
        feed(connection, b"c\r\n")
    feed(connection, b"0\r\n\r\n")
    assert transport.written.endswith(b"/a " + b"c" * 999)


def test_a_431_reaches_the_client():
    async def scenario():
        async with serving(echo, SMALL) as served:
            client = await served.connect()
            await client.send(b"GET / HTTP/1.1\r\nA: " + b"b" * 500_000)
            assert "limit of 2000 bytes" in await refused(client, 431)

    run(scenario())


def test_a_connection_too_many_is_told_so():
    async def scenario():
        async with serving(echo, Limits(connections=2)) as served:
            first, second = [await served.connect() for _ in range(2)]
            await until(lambda: served.http.connections == 2)
            assert "2 connections" in await refused(await served.connect(), 503)
            first.reset()
            await until(lambda: served.http.connections == 1)
            assert (await (await served.connect()).ask(b"GET / HTTP/1.1\r\n\r\n")).status == 200
            assert (await second.ask(b"GET / HTTP/1.1\r\n\r\n")).status == 200

    run(scenario())


def test_a_connection_with_many_unanswered_requests_is_read_no_further_until_half_are_answered():
    waiting: list[Exchange] = []
    connection, transport = recorded(waiting.append, Limits(pipeline=4))
    for _ in range(4):
        assert not transport.paused
        feed(connection, b"GET / HTTP/1.1\r\n\r\n")
    assert transport.paused
    waiting[0].reply(200, b"")
    assert transport.paused
    waiting[1].reply(200, b"")
    assert not transport.paused


def test_a_flood_of_pipelined_requests_is_taken_in_portions():
    waiting: list[Exchange] = []
    most = 0

    async def scenario():
        nonlocal most
        async with serving(waiting.append, Limits(pipeline=16)) as served:
            client = await served.connect()
            request = b"GET / HTTP/1.1\r\nA: " + b"b" * 1000 + b"\r\n\r\n"
            sending = asyncio.create_task(client.send(request * 5000))
            reading = asyncio.create_task(client.reader.readexactly(5000 * len(_ok(b"x"))))
            answered = 0
            while answered < 5000:
                await until(lambda: bool(waiting))
                most = max(most, len(waiting))
                answered += len(waiting)
                batch, waiting[:] = waiting[:], []
                for exchange in batch:
                    exchange.reply(200, b"x")
            await sending
            assert await reading == _ok(b"x") * 5000
            assert most <= 16 + 16_384 // len(request) + 1

    run(scenario())


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def test_a_client_that_reads_slowly_gets_all_of_a_large_answer():
    async def scenario():
        async with serving(lambda e: e.reply(200, b"a" * 5_000_000)) as served:
            client = await served.connect()
            await client.send(b"GET / HTTP/1.1\r\n\r\n" * 3)
            assert [len((await client.response()).body) for _ in range(3)] == [5_000_000] * 3
            assert (await client.ask(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")).status == 200

    run(scenario())
