"""docker/compose.yaml, as it is, with images of these tests."""

import os
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.clipper_admin.managers.polling import eventually
from tests.docker.containers import Container
from tests.integration.rest import post, send

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

FILE = Path(__file__).parents[2] / "docker" / "compose.yaml"


@pytest.fixture(scope="module")
def compose():
    """Runs a compose command on a project of its own, whose ports are free ones; it is removed after the tests."""
    name = f"clipper-test-{uuid.uuid4().hex[:8]}"
    ports = {"CLIPPER_QUERY_PORT": "0", "CLIPPER_MANAGEMENT_PORT": "0"}
    images = {"CLIPPER_REDIS_IMAGE": "clipper-test-redis:bookworm"}
    environment = os.environ | ports | images | {"CLIPPER_NETWORK": name}
    environment.pop("CLIPPER_STORE", None)

    def compose(*arguments):
        command = ["docker-compose", "--project-name", name, "--file", str(FILE), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    try:
        compose("up", "--detach")
        yield compose
    finally:
        compose("down", "--volumes", "--timeout", "15")


def container(compose, service):
    return Container(compose("ps", "--quiet", service))


@pytest.mark.parametrize("service", ["redis", "management", "query"])
def test_every_service_becomes_healthy(compose, service):
    container(compose, service).await_health()


@pytest.mark.parametrize(("service", "port"), [("management", 1338), ("query", 1337)])
def test_the_servers_answer_on_the_loopback_address(compose, service, port):
    container(compose, service).await_health()
    address = compose("port", service, str(port))
    assert address.startswith("127.0.0.1:")
    assert send(address, "GET", "/health/live").json() == {"live": True}


def test_redis_keeps_what_it_was_told(compose):
    redis = container(compose, "redis")
    redis.await_health()
    assert redis.run("redis-cli", "config", "get", "appendonly").split() == ["appendonly", "yes"]


def test_what_is_registered_survives_a_restart_of_redis(compose):
    for service in ("redis", "management", "query"):
        container(compose, service).await_health()
    management, query = compose("port", "management", "1338"), compose("port", "query", "1337")
    app = {"name": "kept", "input_type": "doubles", "default_output": "-7", "latency_slo_micros": 100_000}
    assert post(management, "/admin/add_app", app).status == 200

    def is_known():
        answer = post(query, "/kept/predict", {"input": [1.0]})
        return answer.status == 200 and answer.json()["output"] == -7

    eventually(is_known)
    compose("restart", "redis")
    assert is_known()  # serving needs no store
    assert eventually(lambda: _names(management), timeout=30) == ["kept"]
    assert post(management, "/admin/add_app", app | {"name": "second"}).status == 200
    eventually(lambda: post(query, "/second/predict", {"input": [1.0]}).status == 200, timeout=30)


def _names(management):
    answer = post(management, "/admin/get_all_applications", {"verbose": False})
    return answer.status == 200 and answer.json()


def test_a_server_that_dies_is_started_again(compose):
    server = container(compose, "query")
    server.await_health()
    before = server.state()["Pid"]
    server.run("sh", "-c", "kill -KILL $(cat /proc/1/task/1/children)")
    eventually(lambda: server.state()["Pid"] not in (0, before), timeout=30)
    server.await_health()
