import os
import socket

import pytest

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers import ports

HOST = "127.0.0.1"


@pytest.fixture
def taken():
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_free_port_is_taken_as_wanted(taken):
    free = ports.take_ports(HOST, 0, 0, 1, "query")
    assert ports.take_ports(HOST, free, 0, 1, "query") == free


def test_a_taken_port_names_its_holder_and_the_way_out(taken):
    with pytest.raises(ClipperException) as caught:
        ports.take_ports(HOST, taken, 0, 1, "query")
    message = str(caught.value)
    assert f"query port {taken}" in message
    assert f"(pid {os.getpid()})" in message
    assert "clipper_query_port= (0 for any free port)" in message


def test_a_run_of_ports_is_refused_for_any_taken_one(taken):
    with pytest.raises(ClipperException, match=f"rpc port {taken}"):
        ports.take_ports(HOST, taken, 0, 3, "rpc")


def test_zero_finds_ports_in_a_row():
    first = ports.take_ports(HOST, 0, 0, 3, "rpc")
    with socket.create_server((HOST, first)), socket.create_server((HOST, first + 1)):
        pass
    assert first in ports.FREE_RANGE


def test_zero_prefers_those_had_before_while_they_are_free(taken):
    before = ports.take_ports(HOST, 0, 0, 1, "query")
    assert ports.take_ports(HOST, 0, before, 1, "query") == before
    assert ports.take_ports(HOST, 0, taken, 1, "query") != taken


@pytest.mark.parametrize("port", [-1, 65_536, 1_000_000])
def test_what_is_no_port(port):
    with pytest.raises(ClipperException, match="not a TCP port"):
        ports.take_ports(HOST, port, 0, 1, "query")


def test_a_port_that_was_just_left_is_free(taken):
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection((HOST, port))
        server.accept()[0].close()  # leaves the server's side in TIME_WAIT
        client.recv(1)
        client.close()
    assert ports.take_ports(HOST, port, 0, 1, "query") == port


def test_an_unknown_host_is_an_error():
    with pytest.raises(ClipperException, match=r"no-such-host\.invalid"):
        ports.take_ports("no-such-host.invalid", 1337, 0, 1, "query")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "127.0.0.1:5"), ("0.0.0.0", "127.0.0.1:5"), ("::", "[::1]:5"), ("box", "box:5")],
)
def test_addresses_can_be_reached(host, expected):
    assert ports.address(host, 5) == expected


def test_nobody_known_holds_a_free_port():
    assert "another process" in ports.holder(ports.take_ports(HOST, 0, 0, 1, "query"))
