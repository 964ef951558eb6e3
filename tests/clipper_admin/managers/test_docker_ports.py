"""Ports on the host are wishes, also when another start takes one in the last moment."""

import socket

import pytest

from clipper_admin.managers import docker_parts
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_errors import PortTaken, explained
from clipper_admin.managers.docker_ports import TRIES, Ports


class Busy(Engine):
    """Nothing is started: the first ``times`` starts meet somebody who has the port."""

    def __init__(self, times):
        super().__init__("c", "localhost", "net", {})
        self.times, self.parts = times, []

    def start(self, part):
        self.parts.append(part)
        if len(self.parts) <= self.times:
            raise PortTaken("port is already allocated")
        return part


def redis(port):
    return docker_parts.redis("c", "image", port)


def test_another_port_is_tried_and_the_label_is_that():
    engine = Busy(2)
    ports = Ports(engine)
    started = ports.start(redis, ports.choose(0))
    chosen = [next(iter(each.ports.values())) for each in engine.parts]
    assert len(set(chosen)) == 3
    assert started.labels[docker_parts.REDIS_PORT] == str(chosen[-1])


def test_there_is_an_end_to_it():
    engine = Busy(1000)
    with pytest.raises(PortTaken):
        Ports(engine).start(redis, 1)
    assert len(engine.parts) == TRIES


def test_what_is_reserved_is_for_its_owner_and_none_is_given_twice():
    with socket.create_server(("127.0.0.1", 0)) as server:
        wished = server.getsockname()[1]
    ports = Ports(Busy(0), {wished})
    assert ports.choose(wished) != wished
    assert ports.choose(wished, own=True) == wished
    assert ports.choose(wished, own=True) != wished


@pytest.mark.parametrize(
    "words",
    [
        "driver failed programming external connectivity: Bind for 127.0.0.1:6379 failed: port is already allocated",
        "Error starting userland proxy: listen tcp4 127.0.0.1:6379: bind: address already in use",
    ],
)
def test_what_engines_say_of_a_taken_port_is_understood(words):
    errors = pytest.importorskip("docker").errors
    with pytest.raises(PortTaken, match="can't start it: "), explained("start it"):
        raise errors.APIError("500", explanation=words)
