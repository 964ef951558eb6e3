import os
import socket
from itertools import chain

import pytest

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers import ports
from clipper_admin.managers.ports import Wish

HOST = "127.0.0.1"


def take(*wish):
    return ports.choose_ports(HOST, Wish(*wish))[wish[0]]


@pytest.fixture
def taken():
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_free_port_is_taken_as_wanted(taken):
    free = take("query", 0, 0, 1)
    assert take("query", free, 0, 1) == free


def test_a_taken_port_names_its_holder_and_the_way_out(taken):
    with pytest.raises(ClipperException) as caught:
        take("query", taken, 0, 1)
    message = str(caught.value)
    assert f"query port {taken}" in message
    assert f"(pid {os.getpid()})" in message
    assert "clipper_query_port= (0 for any free port)" in message


def test_a_run_of_ports_is_refused_for_any_taken_one(taken):
    with pytest.raises(ClipperException, match=f"rpc port {taken}"):
        take("rpc", taken, 0, 3)


def test_zero_finds_ports_in_a_row():
    first = take("rpc", 0, 0, 3)
    with socket.create_server((HOST, first)), socket.create_server((HOST, first + 1)):
        pass
    assert first in ports.FREE_RANGE


def test_zero_prefers_those_had_before_while_they_are_free(taken):
    before = take("query", 0, 0, 1)
    assert take("query", 0, before, 1) == before
    assert take("query", 0, taken, 1) != taken


@pytest.mark.parametrize("port", [-1, 65_536, 1_000_000])
def test_what_is_no_port(port):
    with pytest.raises(ClipperException, match="not a TCP port"):
        take("query", port, 0, 1)


def test_a_port_that_was_just_left_is_free(taken):
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection((HOST, port))
        server.accept()[0].close()  # leaves the server's side in TIME_WAIT
        client.recv(1)
        client.close()
    assert take("query", port, 0, 1) == port


def test_an_unknown_host_is_an_error():
    with pytest.raises(ClipperException, match=r"no-such-host\.invalid"):
        ports.choose_ports("no-such-host.invalid", Wish("query", 1337))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "127.0.0.1:5"), ("0.0.0.0", "127.0.0.1:5"), ("::", "[::1]:5"), ("box", "box:5")],
)
def test_addresses_can_be_reached(host, expected):
    assert ports.address(host, 5) == expected


def test_nobody_known_holds_a_free_port():
    assert "another process" in ports.holder(take("query", 0, 0, 1))


def test_ports_that_meet_are_refused():
    free = take("query", 0, 0, 3)
    with pytest.raises(ClipperException) as caught:
        ports.choose_ports(HOST, Wish("query", free), Wish("management", free), Wish("rpc", free))
    assert str(caught.value) == (
        f"Port {free} can't be both a query port and a management port: give each a port of its own with "
        "clipper_query_port= and clipper_management_port= (0 for any free port)."
    )
    run = rf"Port {free + 2} can't be both a query port and a rpc port \(.*: {free} to {free + 2}\): give"
    with pytest.raises(ClipperException, match=run):
        ports.choose_ports(HOST, Wish("query", free + 2), Wish("management", 0), Wish("rpc", free, count=3))


def test_any_port_gives_way_to_one_that_was_named(monkeypatch):
    free, others = take("query", 0, 0, 1), ports.random.randrange
    drawn = chain([free], iter(lambda: others(10_000, 32_000), None))
    monkeypatch.setattr(ports.random, "randrange", lambda *_: next(drawn))
    chosen = ports.choose_ports(HOST, Wish("query", 0, free), Wish("management", free))
    assert chosen["management"] == free
    assert chosen["query"] != free
