"""What `clipper doctor --manager docker` finds, with an engine or without; a real one is in tests/docker."""

import socket
from types import SimpleNamespace

import pytest

from clipper_admin import docker_doctor
from clipper_admin.managers.docker_engine import Engine

docker = pytest.importorskip("docker")


def test_an_engine_that_is_not_there(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    found = docker_doctor.examine({"query": 0})
    assert [each.subject for each in found if not each.ok] == ["engine"]
    assert found[-1].finding.startswith("Unable to Connect to Docker")
    assert "DOCKER_HOST" in found[-1].advice


@pytest.mark.parametrize(("memory", "ok"), [(1 << 34, True), (1 << 28, False)])
def test_an_engine(memory, ok):
    client = SimpleNamespace(
        info=lambda: {"ServerVersion": "20.10", "MemTotal": memory}, api=SimpleNamespace(base_url="unix://here")
    )
    found = docker_doctor.check_engine(client)
    assert found.ok is ok
    assert found.finding.startswith("Docker 20.10 at unix://here, with ")


def test_images_that_are_missing_are_made_or_pulled(monkeypatch):
    monkeypatch.setenv("CLIPPER_REDIS_IMAGE", "our/redis")
    monkeypatch.setenv("CLIPPER_PROMETHEUS_IMAGE", "")

    def get(tag):
        if tag != "our/redis":
            raise docker.errors.ImageNotFound("404")
        return tag

    engine = Engine("", "localhost", "", {})
    engine._client = SimpleNamespace(images=SimpleNamespace(get=get))
    monkeypatch.setattr(docker_doctor, "__registry__", "registry.example/us")
    query, management, closure, redis = docker_doctor.check_images(engine)
    assert (query.subject, query.ok) == (
        f"image registry.example/us/query_frontend:{docker_doctor.__version__}",
        True,
    )
    assert "pulled" in query.finding
    assert "pulled" in management.finding
    assert not closure.ok
    assert "make images" in closure.advice
    assert (redis.subject, redis.finding) == ("image our/redis", "there")


def test_an_image_that_can_not_be_looked_at_is_a_finding_of_its_own(monkeypatch):
    monkeypatch.setenv("CLIPPER_REDIS_IMAGE", "BAD NAME")
    monkeypatch.setenv("CLIPPER_PROMETHEUS_IMAGE", "docker.io/clipper/prometheus")

    def get(tag):
        if tag == "BAD NAME":
            raise docker.errors.APIError("400", explanation="invalid reference format")
        raise docker.errors.ImageNotFound("404")

    engine = Engine("", "localhost", "", {})
    engine._client = SimpleNamespace(images=SimpleNamespace(get=get))
    *_, redis, prometheus = docker_doctor.check_images(engine)
    assert (redis.subject, redis.ok) == ("image BAD NAME", False)
    assert "invalid reference format" in redis.finding
    assert redis.advice == "correct the name, or name another with CLIPPER_REDIS_IMAGE"
    assert not prometheus.ok
    assert "make images" not in prometheus.advice
    assert prometheus.advice.endswith(
        "give yours a name that begins otherwise, or name another with CLIPPER_PROMETHEUS_IMAGE"
    )


def test_ports_that_are_taken_are_no_problem():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        held, free = docker_doctor.check_ports({"query": taken.getsockname()[1], "rpc": 0})
    assert held.ok
    assert "another one would be taken" in held.finding
    assert free.finding == "any free one"
