"""How long a client may take to ask: the real process, with a small limit, on real sockets."""

import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from tests.clipper.management.conftest import SECONDS, started, wait_for_address

LIMIT = 0.5
PING = b"GET /admin/ping HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = b'{"verbose": false}'
POST = (
    b"POST /admin/get_all_applications HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "s"
    with started("--store", store, "--management-port", 0, "--request-timeout", LIMIT) as process:
        url = urlsplit(wait_for_address(process))
        yield url.hostname, url.port


@pytest.fixture
def client(address):
    with socket.create_connection(address, timeout=SECONDS) as connection:
        yield connection


def receive_all(client):
    """What comes until the server closes, within SECONDS."""
    received = b""
    try:
        while data := client.recv(4096):
            received += data
    except ConnectionResetError:  # it closed before it had read all we sent
        pass
    return received


def receive_until(client, end):
    received = b""
    while not received.endswith(end):
        data = client.recv(4096)
        assert data, f"closed after {received!r}"
        received += data
    return received


def assert_is_timeout(response):
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"content-type: application/json" in head
    assert b"content-length: %d" % len(body) in head
    assert b"connection: close" in head
    assert json.loads(body) == {
        "error": "Request timeout",
        "cause": f"the headers did not come within {LIMIT:g} seconds: send the request again",
    }


@pytest.mark.parametrize("nothing", [b"", b"\r\n"])
def test_a_silent_connection_is_closed_silently(client, nothing):
    client.sendall(nothing)

    assert receive_all(client) == b""


@pytest.mark.parametrize("size", [1, 20, len(PING) - 1])
def test_a_part_of_a_head_is_answered_with_408(client, size):
    client.sendall(PING[:size])

    assert_is_timeout(receive_all(client))


def test_a_head_that_trickles_in_gets_no_more_time(client):
    client.sendall(PING[:-2])
    began = time.monotonic()
    client.settimeout(LIMIT / 10)
    received = None
    while received is None and time.monotonic() < began + SECONDS:
        try:
            received = client.recv(4096)
        except TimeoutError:
            client.sendall(b"X: y\r\n")

    assert received is not None, f"not cut within {SECONDS} s"
    assert_is_timeout(received + receive_all(client))


def test_an_idle_connection_is_closed_silently(client):
    client.sendall(PING)
    receive_until(client, b"PONG")

    assert receive_all(client) == b""


def test_a_part_of_a_second_head_is_answered_with_408(client):
    client.sendall(PING)
    receive_until(client, b"PONG")
    client.sendall(PING[:20])

    assert_is_timeout(receive_all(client))


def test_a_part_of_a_head_sent_along_with_a_request_is_answered_with_408(client):
    client.sendall(PING + PING + PING[:20])
    first, second, timeout = receive_all(client).split(b"PONG")

    assert first.startswith(b"HTTP/1.1 200 OK")
    assert second.startswith(b"HTTP/1.1 200 OK")
    assert_is_timeout(timeout)


def test_a_body_may_take_longer_than_a_head(client):
    for _ in range(2):
        client.sendall(POST + BODY[:5])
        client.settimeout(2 * LIMIT)
        with pytest.raises(TimeoutError):
            client.recv(4096)
        client.settimeout(SECONDS)
        client.sendall(BODY[5:])

        assert receive_until(client, b"[]").startswith(b"HTTP/1.1 200 OK")
