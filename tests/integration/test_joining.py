"""A query frontend that joins others opens its port when their containers have found it."""

import socket
import subprocess
import sys

import pytest

from clipper.frontend import server
from clipper.rpc.wire import Hello, encode_hello
from clipper.store.opening import open_store
from clipper.types import Replica
from tests.clipper.store.redis_process import free_port
from tests.clipper_admin.managers.polling import eventually
from tests.integration.processes import is_ready
from tests.integration.redis_cluster import end

pytestmark = pytest.mark.cluster


@pytest.fixture
def join(tmp_path):
    """Starts a frontend beside others that have told of their containers: its query port and its RPC port."""
    started = []

    def join(name, known_by="frontend-0"):
        store = open_store(str(tmp_path / "clipper.db"))
        store.report(known_by, 0, [container(each, known_by) for each in (0, 1)])
        store.close()
        ports = free_port(), free_port()
        flags = [f"--store={tmp_path / 'clipper.db'}", f"--frontend={name}"]
        flags += [f"--query-port={ports[0]}", f"--rpc-port={ports[1]}"]
        with (tmp_path / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "clipper.frontend.server", *flags]
            join.process = subprocess.Popen(command, stdout=log, stderr=log)
        started.append(join.process)
        return ports

    yield join
    for each in started:
        end(each)


def container(replica, frontend):
    known = {"model_name": "m", "model_version": "1", "input_type": "doubles"}
    return Replica(replica_id=replica, frontend=frontend, **known)


def connect(port, replica):
    """A container, as far as the frontend sees."""
    connection = eventually(lambda: connected(port))
    connection.sendall(encode_hello(Hello("m", "1", "doubles", replica_id=replica)))
    assert connection.recv(1)  # WELCOME
    return connection


def connected(port):
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=10)
    except OSError:
        return None


def test_it_waits_for_every_container_that_the_others_know(join):
    query, rpc = join("frontend-1")
    with connect(rpc, 0):
        assert not is_ready(f"127.0.0.1:{query}")
        with connect(rpc, 1):
            eventually(lambda: is_ready(f"127.0.0.1:{query}"), timeout=server.WELCOME_SECONDS / 2)


def test_one_that_is_started_again_does_not_wait_long_for_those_of_before(join):
    query, _ = join("frontend-0")
    eventually(lambda: is_ready(f"127.0.0.1:{query}"), timeout=server.WELCOME_SECONDS - 1)


def test_one_that_is_stopped_meanwhile_ends_at_once(join):
    _, rpc = join("frontend-1")
    with connect(rpc, 0):
        join.process.terminate()
        assert join.process.wait(server.WELCOME_SECONDS / 2) == 0
