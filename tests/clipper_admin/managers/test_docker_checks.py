"""What the manager of Docker can't be given, and what it says of it, without any engine."""

import socket

import pytest

from clipper.store.redis_address import parse_address
from clipper_admin import ClipperException, DockerContainerManager
from clipper_admin.managers import docker_build, docker_checks, docker_parts
from clipper_admin.managers.docker_engine import Engine


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"docker_ip_address": ""},
            "docker_ip_address must be a name or an IP address of the engine's machine, .*''",
        ),
        ({"docker_ip_address": "http://10.0.0.7"}, "docker_ip_address must be .* and nothing else"),
        ({"docker_ip_address": None}, "docker_ip_address must be .*None"),
        (
            {"redis_ip": "localhost"},
            "redis_ip='localhost' is, for a container, the container itself: give an address",
        ),
        ({"redis_ip": "127.0.0.1"}, "the container itself"),
        ({"redis_ip": "127.0.1.1"}, "the container itself"),
        ({"redis_ip": "::1"}, "the container itself"),
        ({"redis_ip": "redis://here"}, "redis_ip must be a name or an IP address of Redis' machine"),
        ({"redis_ip": 5}, "redis_ip must be"),
        (
            {"docker_network": "host"},
            "does not support running Clipper on the network 'host': .* Leave docker_network",
        ),
        ({"docker_network": "bridge"}, "on the network 'bridge'"),
        ({"docker_network": "none"}, "on the network 'none'"),
        ({"docker_network": "container:other"}, "on the network 'container:other'"),
        ({"docker_network": ""}, "docker_network must be the name of a network, a str, not ''"),
        ({"docker_network": None}, "docker_network must be .* not None"),
        ({"redis_image": 5}, "redis_image must be the name of an image, such as .*, not 5"),
        ({"redis_image": ""}, "redis_image must be .* not ''"),
        ({"prometheus_image": 5}, "prometheus_image must be"),
        ({"use_centralized_log": True, "fluentd_image": ""}, "fluentd_image must be"),
    ],
)
def test_what_can_not_be_is_refused_at_once(given, said):
    with pytest.raises(ClipperException, match=said):
        DockerContainerManager("c", **given)


def test_what_can_be_is_taken():
    taken = DockerContainerManager("c", docker_ip_address="::1", redis_ip="10.0.0.7", prometheus_image="")
    assert (taken._engine.host, taken._wishes.redis_ip, taken._wishes.prometheus_image) == ("::1", "10.0.0.7", None)
    assert DockerContainerManager("c", redis_ip="localhost.example")._wishes.redis_ip == "localhost.example"


@pytest.mark.parametrize("name", ["query_frontend_image", "mgmt_frontend_image"])
@pytest.mark.parametrize("value", ["", 5, None])
def test_servers_have_images(name, value):
    with pytest.raises(ClipperException, match=f"{name} must be the name of an image"):
        DockerContainerManager("c").start_clipper(**{name: value})


def test_a_model_has_an_image():
    with pytest.raises(ClipperException, match=r"^image must be the name of an image, .*, not ''"):
        DockerContainerManager("c").deploy_model("m", "1", "doubles", "")


@pytest.mark.parametrize("value", ["", 5])
def test_a_model_is_built_from_an_image(tmp_path, logger, monkeypatch, value):
    monkeypatch.setattr(docker_build, "check_tag", lambda *_: None)
    with pytest.raises(ClipperException, match="base_image must be the name of an image"):
        docker_build.build(
            Engine("c", "localhost", "net"), {docker_build.MODEL: "m_1"}, "t", tmp_path, value, (), logger
        )


@pytest.mark.parametrize(
    ("value", "meant"),
    [("http://reg.example:5000/team", "reg.example:5000/team"), ("https://reg.example/", "reg.example"), ("a/", "a")],
)
def test_a_registry_is_named_without_a_scheme(tmp_path, monkeypatch, value, meant):
    cluster = DockerContainerManager("c")
    monkeypatch.setattr(cluster, "get_num_replicas", lambda name, version: 0)
    with pytest.raises(ClipperException, match=f"^registry='{value}': names of images begin .* Give '{meant}'$"):
        cluster.build_image("m", "1", str(tmp_path), container_registry=value)


def test_a_registry_may_have_a_port_and_a_path():
    assert docker_checks.registry("reg.example:5000/team") == "reg.example:5000/team"
    assert docker_checks.registry(None) is None


@pytest.mark.parametrize("call", ["start_clipper", "connect"])
def test_an_address_that_nobody_knows_is_told_before_the_engine_is_asked(monkeypatch, call):
    def unknown(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    elsewhere = DockerContainerManager("c", docker_ip_address="engine.invalid")
    with pytest.raises(ClipperException, match=r"docker_ip_address: 'engine\.invalid' can't be resolved .*not known"):
        getattr(elsewhere, call)()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_addresses_of_this_machine_are_known(host):
    docker_checks.check_resolves(host)


@pytest.mark.parametrize("host", ["redis.example", "10.0.0.7", "fd00::7", "[fd00::7]"])
def test_an_address_of_redis_of_any_kind_is_one_of_a_store(host):
    address = parse_address(docker_parts.store_address(docker_checks.redis_address(host), 6379, "c"))
    assert address.url == f"redis://{'[fd00::7]' if ':' in host else host}:6379/0"
