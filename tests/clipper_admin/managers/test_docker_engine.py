"""Which images are started that are not Clipper's, and what is said and left if one can't be."""

import sys
from types import SimpleNamespace

import pytest

from clipper_admin import ClipperException, DockerContainerManager
from clipper_admin.managers import docker_parts
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_extra import Extra


@pytest.mark.parametrize(
    ("given", "environment", "images"),
    [
        ({}, {}, ("redis:7", "prom/prometheus")),
        ({}, {"REDIS": "our/redis", "PROMETHEUS": "our/prometheus"}, ("our/redis", "our/prometheus")),
        ({}, {"REDIS": "", "PROMETHEUS": ""}, ("redis:7", None)),
        ({"redis_image": "r", "prometheus_image": None}, {"REDIS": "x", "PROMETHEUS": "x"}, ("r", None)),
    ],
)
def test_images_are_those_given_or_the_environments(monkeypatch, given, environment, images):
    for name in ("REDIS", "PROMETHEUS"):
        monkeypatch.delenv(f"CLIPPER_{name}_IMAGE", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(f"CLIPPER_{name}_IMAGE", value)
    wishes = DockerContainerManager("c", **given)._wishes
    assert (wishes.redis_image, wishes.prometheus_image) == images


@pytest.mark.parametrize("given", [{"mem_limit": "abc"}, {"nano_cpus": 1.5}, {"mem_limit": [1]}])
def test_values_that_docker_does_not_take_are_named(monkeypatch, given):
    docker = pytest.importorskip("docker")
    engine = Engine("c", "localhost", "net", given)
    engine._client = docker.DockerClient("unix:///nowhere", version="1.41")
    monkeypatch.setattr(engine, "image", lambda tag, remedy: None)
    with pytest.raises(ClipperException, match="Docker can't create the container name: "):
        engine.start(docker_parts.Part("name", "image", {}))


class Images:
    """Has every image if ``error`` is an interrupt; else those that were pulled."""

    def __init__(self, error):
        self.error, self.pulled = error, []

    def get(self, tag):
        if not isinstance(self.error, KeyboardInterrupt) and tag not in self.pulled:
            raise self.error
        return tag


class Client:
    """Of an engine on which to create ends with ``error`` after the container was made."""

    def __init__(self, error):
        self.error, self.made, self.removed = error, [], []
        self.containers = self.api = self
        self.images = Images(error)

    def create_endpoint_config(self, **options):
        return options

    def create(self, image, command, **options):
        self.made = [SimpleNamespace(name=name, stop=None, remove=self.remove) for name in (options["name"], "other")]
        raise self.error

    def pull(self, tag, **options):
        yield {"status": "Pulling"}
        self.images.pulled.append(tag)

    def list(self, **filters):
        return self.made

    def remove(self, **options):
        self.removed.append(options)


def engine(error):
    made = Engine("c", "localhost", "net", {})
    made._client = Client(error)
    return made


def test_an_interrupted_creation_leaves_no_container():
    interrupted = engine(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        interrupted.start(docker_parts.redis("c", "image", 1))
    assert len(interrupted.client.removed) == 1


@pytest.fixture
def empty():
    """An engine without images; a registry has all of them."""
    return engine(pytest.importorskip("docker").errors.ImageNotFound("404", explanation="No such image"))


@pytest.mark.parametrize("registry", ["", "docker.io/", "index.docker.io/"])
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("query_frontend:0.1.0", "Make it with `make images` in Clipper's sources, or name another"),
        ("sklearn311-container", "Make it with `make images`"),
        ("redis", "which are not pulled, .*: give yours a name that begins otherwise, or name another"),
    ],
)
def test_what_has_the_name_of_clippers_own_images_is_not_pulled_from_anywhere(empty, registry, name, remedy):
    with pytest.raises(ClipperException, match=rf"^There is no image {registry}clipper/{name} here\. .*{remedy}"):
        empty.image(f"{registry}clipper/{name}", "name another")
    assert empty.client.images.pulled == []


def test_what_has_another_name_is_pulled(empty):
    for tag in ("registry.example/query_frontend", "redis", "example.io/clipper/query_frontend"):
        assert empty.image(tag, "name another") == tag
        assert empty.client.images.pulled[-1] == tag


@pytest.mark.parametrize(
    ("part", "remedy"),
    [
        (docker_parts.redis("c", "gone", 1), "name another with redis_image= or CLIPPER_REDIS_IMAGE$"),
        (docker_parts.prometheus("c", "gone", 1, ""), "prometheus_image= or CLIPPER_PROMETHEUS_IMAGE"),
        (docker_parts.Part("name", "gone", {}), "name another$"),
    ],
)
def test_what_to_do_without_an_image_is_told(empty, monkeypatch, part, remedy):
    def refuse(tag, **options):
        raise pytest.importorskip("docker").errors.APIError("500", explanation="no such host")

    monkeypatch.setattr(empty.client.api, "pull", refuse)
    said = r"^There is no image gone here, and it can't be pulled \(no such host\)\. See that its registry .*"
    with pytest.raises(ClipperException, match=said + remedy):
        empty.start(part)


def test_a_name_that_docker_does_not_take_is_told_with_what_to_do():
    refused = pytest.importorskip("docker").errors.APIError("400", explanation="invalid reference format")
    with pytest.raises(
        ClipperException, match=r"image BAD NAME: invalid reference format\. Correct that, or .*redis_im"
    ):
        engine(refused).start(docker_parts.redis("c", "BAD NAME", 1))


def test_an_image_that_goes_meanwhile_is_told_once(monkeypatch):
    gone = pytest.importorskip("docker").errors.ImageNotFound("404", explanation="no such image: X: No such image: X")
    late = engine(gone)
    monkeypatch.setattr(late, "image", lambda tag, remedy: None)
    with pytest.raises(ClipperException, match=r"there is no image X here\. Pull it, or name another$"):
        late.start(docker_parts.Part("name", "X", {}))


def test_what_docker_refuses_may_be_the_users():
    refused = pytest.importorskip("docker").errors.APIError("400", explanation="Minimum memory limit allowed is 6MB")
    asking = engine(refused)
    asking._extra = Extra({"mem_limit": "1k"})
    asking.client.images.get = lambda tag: tag
    with pytest.raises(
        ClipperException, match=r"6MB \(extra_container_kwargs is part of what was asked for: mem_limit\)"
    ):
        asking.start(docker_parts.redis("c", "image", 1))


@pytest.mark.parametrize("call", ["start_clipper", "connect", "stop_all", "exists"])
def test_without_the_sdk_it_is_told_how_to_get_it(monkeypatch, tmp_path, call):
    monkeypatch.setenv("CLIPPER_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(ClipperException, match=r"needs the package docker: pip install 'clipper-serving\[docker\]'"):
        getattr(DockerContainerManager("c"), call)()
