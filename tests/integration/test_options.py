"""Options of ``start_clipper`` have the effect that they are for."""

import socket

import pytest

from clipper_admin.deployers.python import create_endpoint
from tests.integration.conftest import await_link
from tests.integration.models import noting
from tests.integration.rest import ask, ask_batch, metrics, outputs

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def clipper(start):
    return start(cache_size=0, qf_http_timeout_request=0.5, qf_http_timeout_content=0.5)


def connect(query_addr):
    host, _, port = query_addr.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_without_a_cache_every_query_is_asked(clipper, unique, query_addr, tmp_path):
    create_endpoint(clipper, unique, "doubles", noting(str(tmp_path / "seen")), slo_micros=10**7)
    await_link(clipper, unique, "1")
    assert outputs(ask_batch(query_addr, unique, [[1.0, 2.0]] * 3)) == [3] * 3
    assert outputs([ask(query_addr, unique, [1.0, 2.0])]) == [3]
    assert (tmp_path / "seen").read_text().split() == ["3.0"] * 4
    value = metrics(query_addr)
    assert value("clipper_cache_bytes") == value("clipper_cache_entries") == 0
    assert value("clipper_cache_lookups_total", model=unique, version="1", result="hit") == 0


def test_an_idle_connection_is_closed(clipper, query_addr):
    with connect(query_addr) as idle:
        assert idle.recv(1) == b""


def test_a_body_that_does_not_come_is_not_waited_for(clipper, query_addr):
    with connect(query_addr) as slow:
        slow.sendall(b"POST /app/predict HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{")
        received = b""
        while data := slow.recv(65536):
            received += data
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"cause"' in received
