"""When connections are made and given up: real sockets, a virtual clock."""

import selectors
import socket

import pytest

from clipper.container import frontends as frontends_module
from clipper.container.addresses import Address, Endpoint
from clipper.container.connection import Connection, Phase
from clipper.container.frontends import Frontends
from clipper.rpc import wire

HELLO = wire.encode_hello(wire.Hello("sum", "1", "doubles"))


@pytest.fixture
def selector():
    with selectors.DefaultSelector() as made:
        yield made


@pytest.fixture
def listeners():
    """Two frontends that accept and say nothing by themselves."""
    made = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    yield made
    for each in made:
        each.close()


def endpoint_of(listener):
    return Endpoint(socket.AF_INET, listener.getsockname())


def turn(selector, now):
    """Handles what the sockets are ready for, waiting for something to happen."""
    for key, mask in selector.select(10.0):
        assert key.data.ready(mask, now) is None


def welcome(listener, connection, selector, now):
    accepted, _ = listener.accept()
    while connection.phase is not Phase.GREETING:
        turn(selector, now)
    accepted.sendall(wire.encode_welcome())
    while connection.phase is not Phase.SERVING:
        turn(selector, now)
    return accepted


def test_tries_come_ever_slower_up_to_one_a_second_and_are_logged_once(selector, capsys):
    connection = Connection(Endpoint(socket.AF_UNIX, "/nowhere/at/all"), HELLO, selector, 0.0)
    now, waits = 0.0, []
    for _ in range(8):
        connection.tick(now)
        assert connection.phase is Phase.WAITING
        waits.append(connection.deadline - now)
        connection.tick(now + waits[-1] / 2)  # too early: nothing happens
        now = connection.deadline

    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0])
    assert capsys.readouterr().err.count("\n") == 1


def test_frontend_that_does_not_welcome_is_given_up_after_ten_seconds(selector, listeners, capsys):
    connection = Connection(endpoint_of(listeners[0]), HELLO, selector, 0.0)
    connection.tick(0.0)
    accepted, _ = listeners[0].accept()
    turn(selector, 1.0)
    assert (connection.phase, connection.deadline) == (Phase.GREETING, 11.0)
    connection.tick(10.9)
    assert connection.phase is Phase.GREETING
    connection.tick(11.0)

    assert (connection.phase, connection.deadline) == (Phase.WAITING, 11.05)
    assert "no answer within 10 s" in capsys.readouterr().err
    assert accepted.recv(1000) == HELLO
    accepted.close()


def test_refusal_is_tried_again_after_five_seconds(selector, listeners):
    connection = Connection(endpoint_of(listeners[0]), HELLO, selector, 0.0)
    connection.tick(0.0)
    accepted, _ = listeners[0].accept()
    turn(selector, 0.0)
    accepted.sendall(wire.encode_refused("no"))
    while connection.phase is not Phase.WAITING:
        turn(selector, 2.0)

    assert connection.deadline == 7.0
    accepted.close()


def test_connection_that_is_dropped_as_soon_as_it_works_is_not_made_ever_faster(selector, listeners):
    connection = Connection(endpoint_of(listeners[0]), HELLO, selector, 0.0)
    now, waits = 0.0, []
    for lasted in (0.0, 0.0, 0.5, 5.0):
        connection.tick(now)
        accepted = welcome(listeners[0], connection, selector, now)
        accepted.close()
        now += lasted
        turn(selector, now)
        waits.append(connection.deadline - now)
        now = connection.deadline

    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.05])


@pytest.fixture
def names(monkeypatch):
    """What the name means: change it at will; an exception is raised."""
    meaning = {"now": []}

    def resolve(address):
        if isinstance(meaning["now"], Exception):
            raise meaning["now"]
        return meaning["now"]

    monkeypatch.setattr(frontends_module, "resolve", resolve)
    return meaning


def connected(frontends):
    return {endpoint for endpoint, each in frontends._connections.items() if each.phase is Phase.SERVING}


def test_name_is_looked_up_again_and_new_frontends_are_found(selector, listeners, names):
    first, second = map(endpoint_of, listeners)
    names["now"] = [first]
    frontends = Frontends([Address("frontends", 7000)], HELLO, selector, 0.0)
    frontends.tick(0.0)
    kept = welcome(listeners[0], frontends._connections[first], selector, 0.0)
    assert frontends.deadline() == pytest.approx(10.0, abs=0.1)
    names["now"] = [second]
    frontends.tick(9.0)
    assert second not in frontends._connections
    frontends.tick(10.1)
    new = welcome(listeners[1], frontends._connections[second], selector, 10.1)

    assert connected(frontends) == {first, second}  # one that works is kept, named or not
    kept.close()
    turn(selector, 10.2)
    frontends.tick(20.2)
    assert connected(frontends) == frontends._connections.keys() == {second}
    frontends.close()
    new.close()


def test_missing_frontend_makes_the_name_be_looked_up_sooner(selector, names):
    names["now"] = [Endpoint(socket.AF_UNIX, "/nowhere")]
    frontends = Frontends([Address("frontends", 7000)], HELLO, selector, 0.0)
    frontends.tick(0.0)
    names["now"] = [Endpoint(socket.AF_UNIX, "/elsewhere")]
    frontends.tick(2.1)

    assert [each.target for each in frontends._connections] == ["/elsewhere"]


def test_a_frontend_that_was_lost_is_looked_out_for_though_it_is_not_named(selector, listeners, names):
    first, second = map(endpoint_of, listeners)
    names["now"] = [first, second]
    frontends = Frontends([Address("frontends", 7000)], HELLO, selector, 0.0)
    frontends.tick(0.0)
    accepted = [welcome(each, frontends._connections[endpoint_of(each)], selector, 0.0) for each in listeners]
    accepted[1].close()
    turn(selector, 1.0)
    names["now"] = [first]
    frontends.tick(10.1)
    assert frontends._connections.keys() == {first}
    for now in (12.2, 14.3, 70.2):
        assert frontends.deadline() < now
        frontends.tick(now)
    assert frontends.deadline() == pytest.approx(80.2, abs=0.1), "it stays away"
    names["now"] = [first, second]
    frontends.tick(80.3)
    assert frontends._connections.keys() == {first, second}
    frontends.close()
    accepted[0].close()


def test_name_that_cannot_be_resolved_is_logged_once_and_what_was_known_is_kept(selector, names, capsys):
    names["now"] = [Endpoint(socket.AF_UNIX, "/nowhere")]
    frontends = Frontends([Address("frontends", 7000)], HELLO, selector, 0.0)
    names["now"] = socket.gaierror("the name server is down")
    for now in (11.0, 22.0, 33.0):
        frontends.tick(now)

    assert list(frontends._connections) == [Endpoint(socket.AF_UNIX, "/nowhere")]
    assert capsys.readouterr().err.count("Can't resolve tcp:frontends:7000: the name server is down") == 1


def test_slow_name_server_is_asked_seldom(selector, names, monkeypatch):
    clock = iter([0.0, 3.0])
    monkeypatch.setattr(frontends_module.time, "monotonic", lambda: next(clock))
    frontends = Frontends([Address("frontends", 7000)], HELLO, selector, 0.0)

    assert frontends.deadline() == 300.0


def test_literal_addresses_are_never_looked_up_again(selector):
    frontends = Frontends([Address("127.0.0.1", 1)], HELLO, selector, 0.0)
    frontends.leave(0.0)

    assert frontends.left
    assert frontends.deadline() == float("inf")
