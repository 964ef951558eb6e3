"""However the bytes are cut, and whatever they are: driven without sockets, to have each cut exactly."""

from __future__ import annotations

import gc
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper.frontend.connection import Connection
from clipper.frontend.http import Exchange, Limits
from tests.clipper.frontend.http_harness import echo, feed, recorded, run, serving, until

STREAM = (
    b"\r\nPOST /a/predict?q=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nEmpty:\r\n\r\nhello"
    b"GET /b HTTP/1.1\r\n\r\n"
    b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n4\r\ndefg\r\n0\r\nX: y\r\n\r\n"
    b"HEAD /d HTTP/1.1\r\nHost: x\r\n\r\n"
    b"POST /e HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi"
    b"POST /f HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


def answers(parts: list[bytes]) -> bytes:
    connection, transport = recorded(echo)
    for part in parts:
        feed(connection, part)
    return transport.written


WHOLE = answers([STREAM])


def test_the_stream_is_what_we_think():
    bodies = [b"/a/predict hello", b"/b ", b"/c abcdefg", b"", b"/e hi", b"/f "]
    assert WHOLE.count(b"HTTP/1.1 200 OK\r\n") == len(bodies)
    position = 0
    for body in bodies:
        position = WHOLE.index(b"\r\n\r\n" + body, position) + 4


@pytest.mark.parametrize("cut", range(1, len(STREAM)))
def test_a_cut_at_any_byte_changes_nothing(cut):
    assert answers([STREAM[:cut], STREAM[cut:]]) == WHOLE


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=40))
def test_any_cuts_change_nothing(cuts):
    edges = [0, *sorted(set(cuts)), len(STREAM)]
    assert answers([STREAM[a:b] for a, b in itertools.pairwise(edges)]) == WHOLE


def test_byte_by_byte():
    assert answers([STREAM[at : at + 1] for at in range(len(STREAM))]) == WHOLE


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(6)), st.integers(1, len(STREAM) - 1))
def test_the_order_of_replies_changes_nothing(order, cut):
    waiting: list[Exchange] = []
    connection, transport = recorded(waiting.append)
    feed(connection, STREAM[:cut])
    feed(connection, STREAM[cut:])
    for n in order:
        echo(waiting[n])
    assert transport.written == WHOLE


def test_answers_made_during_a_read_are_one_write_and_so_are_those_that_waited_for_another():
    connection, transport = recorded(echo)
    feed(connection, b"GET / HTTP/1.1\r\n\r\n" * 20)
    assert len(transport.writes) == 1

    waiting: list[Exchange] = []
    connection, transport = recorded(waiting.append)
    feed(connection, b"GET / HTTP/1.1\r\n\r\n" * 20)
    for exchange in reversed(waiting):
        echo(exchange)
    assert len(transport.writes) == 1


MALFORMED = {
    "nonsense": b"nonsense\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/2.0 request": b"GET / HTTP/2.0\r\n\r\n",
    "http/0.9": b"GET /\r\n\r\n",
    "unknown method": b"FETCH / HTTP/1.1\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "space before the colon": b"POST / HTTP/1.1\r\nContent-Length : 2\r\n\r\nab",
    "folded header": b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "zero in a header": b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n",
    "length and chunked": b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "one length twice": b"POST / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\nabcde",
    "a list of lengths": b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\nabcde",
    "negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "empty length": b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
    "huge length": b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "not chunked last": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "bad chunk size": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "huge chunk size": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "chunk without end": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
}


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_requests_are_a_400_after_the_answers_before_them(request_bytes):
    seen: list[bytes] = []

    def note(exchange: Exchange) -> None:
        seen.append(exchange.path)
        exchange.reply(200, b"good")

    async def scenario():
        async with serving(note) as served:
            client = await served.connect()
            # The version is looked at once a connection, so these come first on theirs.
            good = b"" if request_bytes.startswith(b"GET /\r\n") or b"HTTP/2.0" in request_bytes else b"/good"
            await client.send(
                (b"GET /good HTTP/1.1\r\n\r\n" if good else b"") + request_bytes + b"GET /x HTTP/1.1\r\n\r\n"
            )
            if good:
                assert (await client.response()).body == b"good"
            response = await client.response()
            assert response.status == 400
            assert response.headers[b"connection"] == b"close"
            assert json.loads(response.body)["error"] == "Bad request"
            assert (
                "correct it" in json.loads(response.body)["cause"] or "speaks" in json.loads(response.body)["cause"]
            )
            assert await client.rest() == b""
            assert seen == ([good] if good else [])

    run(scenario())


def test_connect_is_not_allowed():
    _, transport = (pair := recorded(echo))
    feed(pair[0], b"CONNECT example:443 HTTP/1.1\r\nHost: example\r\n\r\n\x16\x03\x01")
    assert transport.written.startswith(b"HTTP/1.1 405 ")
    assert transport.ended


PIECES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        [
            *MALFORMED.values(),
            b"POST /a HTTP/1.1\r\n",
            b"GET / HTTP/1.0\r\n",
            b"Content-Length: 5\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: upgrade\r\nUpgrade: x\r\n",
            b"Connection: close\r\n",
            b"Expect: 100-continue\r\n",
            b"\r\n",
            b"5\r\nabcde\r\n",
            b"0\r\n\r\n",
            b"GET /b HTTP/1.1\r\n\r\n",
        ]
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=12))
def test_any_bytes_are_answered_or_closed(pieces):
    connection, transport = recorded(echo, Limits(body_bytes=20, header_bytes=200))
    for piece in pieces:
        feed(connection, piece)
    connection.eof_received()
    assert transport.ended
    statuses = [line.split()[1] for line in transport.written.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert set(statuses) <= {b"100", b"200", b"400", b"405", b"413", b"431"}
    assert all(status in (b"100", b"200") for status in statuses[:-1])  # an error ends the connection
    connection.connection_lost(None)


def test_any_bytes_over_a_socket():
    async def scenario():
        async with serving(echo) as served:
            for garbage in [*MALFORMED.values(), bytes(range(256)) * 400]:
                client = await served.connect()
                client.writer.write(garbage)
                client.writer.write_eof()
                answer = await client.rest()
                assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200"))
            await until(lambda: served.http.connections == 0)

    run(scenario())


def test_nothing_is_left_of_ten_thousand_exchanges():
    waiting: list[Exchange] = []

    async def scenario():
        async with serving(waiting.append) as served:
            for ends in ("answered", "reset", "idle"):
                client = await served.connect()
                for _ in range(100):
                    await client.send(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" * 34)
                    await until(lambda: len(waiting) >= 34)
                    if ends == "reset":
                        break
                    for exchange in waiting:
                        exchange.reply(200, b"")
                    waiting.clear()
                    for _ in range(34):
                        await client.response()
                client.reset()
                await until(lambda: served.http.connections == 0)
                waiting.clear()
            assert not _alive(Connection), "a connection outlives its socket without a cycle collection"
            assert len(_alive(Exchange)) <= before + 1  # the loop variable above

    gc.collect()
    before = len(_alive(Exchange))
    gc.disable()  # reference counts alone must do: a collection stops the world
    try:
        run(scenario())
    finally:
        gc.enable()


def _alive(kind: type) -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, kind)]
