"""Which images are started that are not Clipper's, and what is said and left if one can't be."""

from types import SimpleNamespace

import pytest

from clipper_admin import ClipperException, DockerContainerManager
from clipper_admin.managers import docker_parts
from clipper_admin.managers.docker_engine import Engine


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


class Client:
    """Of an engine on which to create ends with ``error`` after the container was made."""

    def __init__(self, error):
        self.error, self.made, self.removed = error, [], []
        self.containers = self.api = self

    def create_endpoint_config(self, **options):
        return options

    def create(self, image, command, **options):
        self.made = [SimpleNamespace(name=name, stop=None, remove=self.remove) for name in (options["name"], "other")]
        raise self.error

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


@pytest.mark.parametrize(
    ("part", "remedy"),
    [
        (docker_parts.redis("c", "gone", 1), "Pull it, or name another with redis_image= or CLIPPER_REDIS_IMAGE$"),
        (docker_parts.prometheus("c", "gone", 1, ""), "prometheus_image= or CLIPPER_PROMETHEUS_IMAGE"),
        (docker_parts.Part("name", "gone", {}), "`make images`"),
    ],
)
def test_what_to_do_without_an_image_is_told(part, remedy):
    missing = pytest.importorskip("docker").errors.ImageNotFound("404", explanation="No such image")
    with pytest.raises(ClipperException, match=f"there is no image gone here, .*{remedy}"):
        engine(missing).start(part)
