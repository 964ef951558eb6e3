"""What a model's image is made of, as far as that goes without an engine."""

import json
import tarfile
from types import SimpleNamespace

import pytest

from clipper.container.manifest import FILE, Manifest, read_manifest
from clipper_admin import ClipperException, DockerContainerManager
from clipper_admin.managers import docker_build, docker_parts
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.programs import ReplicaId
from clipper_admin.version import __registry__, __version__


def directory_of(folder, **fields):
    (folder / FILE).write_text(json.dumps(fields))
    return folder


@pytest.mark.parametrize(
    ("framework", "image"),
    [("", "python311-closure"), ("sklearn", "sklearn311"), ("pytorch", "pytorch311"), ("tensorflow", "tf311")],
)
def test_a_framework_has_an_image_for_each_python(framework, image):
    assert docker_build.base_name(framework, "3.11") == f"{__registry__}/{image}-container:{__version__}"
    other = DockerContainerManager("c").find_python("3.12", framework)
    assert other == (f"{__registry__}/{image.replace('311', '312')}-container:{__version__}", [])


def test_an_image_knows_nothing_of_patches():
    with pytest.raises(ClipperException, match=r"python_version='3\.12\.4', but .* give '3\.12'"):
        DockerContainerManager("c").find_python("3.12.4", "")


def test_another_language_has_no_image(tmp_path):
    with pytest.raises(ClipperException, match=r"no image for models that java runs: .* with base_image="):
        docker_build.default_base(directory_of(tmp_path, framework="java", command=["java", "-jar", "x.jar"]))


def test_a_container_does_not_choose_among_devices_that_it_does_not_see(tmp_path):
    directory = directory_of(tmp_path, gpus=["2", "5"], threads=3)
    inside = tmp_path / "inside"
    with tarfile.open(fileobj=docker_build._context(directory, "FROM x\n")) as tar:
        tar.extractall(inside, filter="data")
    assert read_manifest(inside / "model") == Manifest(threads=3)


def options_of(number, gpus):
    return options(
        docker_parts.replica("c", ReplicaId("m", "1", number), "doubles", "image", gpus, ("info", "text")),
        "localhost",
    )


def options(part, host):
    engine = Engine("c", host, "net", {})
    engine._client = StandIn()
    return engine._options(part)


class StandIn:
    """Of a client: nothing is asked of an engine."""

    @property
    def api(self):
        return self

    def create_endpoint_config(self, **options):
        return options


@pytest.mark.parametrize("make", [docker_parts.redis, docker_parts.fluentd])
def test_what_asks_nobody_for_a_password_is_for_its_machine_alone(make):
    (published,) = options(make("c", "image", 4242), "10.0.0.7")["ports"].values()
    assert published == ("127.0.0.1", 4242)


def test_what_users_ask_is_published_where_they_are():
    part = docker_parts.prometheus("c", "image", 4242, "")
    assert list(options(part, "10.0.0.7")["ports"].values()) == [("0.0.0.0", 4242)]


@pytest.mark.parametrize(("number", "device"), [(0, "2"), (1, "GPU-5f"), (2, "2")])
def test_each_replica_is_given_its_device_alone(number, device):
    (request,) = options_of(number, "2,GPU-5f")["device_requests"]
    assert (request.device_ids, request.count) == ([device], 0)
    assert request.capabilities == [["gpu"]]


def test_without_gpus_none_is_asked_for():
    assert "device_requests" not in options_of(0, "")


def image(entrypoint=None, command=None, environment=()):
    return SimpleNamespace(attrs={"Config": {"Entrypoint": entrypoint, "Cmd": command, "Env": list(environment)}})


OURS = ["python", "/opt/clipper/clipper-container.pyz"]


@pytest.mark.parametrize(
    "base",
    [
        image(OURS, environment=["CLIPPER_MODEL_PATH=/model"]),
        image(OURS),
        image(["tini", "--"], OURS),
        image(["/start.sh"], environment=["PATH=/bin", "CLIPPER_MODEL_PATH=/model"]),
    ],
)
def test_a_base_that_may_have_the_runtime_is_taken(tmp_path, base):
    docker_build.check_base(base, "theirs", directory_of(tmp_path))


@pytest.mark.parametrize("base", [image(["docker-entrypoint.sh"], ["redis-server"]), image(None, ["python3"])])
def test_a_base_without_the_runtime_is_for_models_that_no_deployer_has_saved(tmp_path, base):
    docker_build.check_base(base, "theirs", tmp_path)
    with pytest.raises(
        ClipperException, match=r"image theirs has no runtime .*it starts '.*make it FROM \S+-closure-co"
    ):
        docker_build.check_base(base, "theirs", directory_of(tmp_path))


def test_a_base_that_starts_nothing_is_for_no_model(tmp_path):
    with pytest.raises(ClipperException, match=r"image theirs has neither ENTRYPOINT nor CMD, .*make it FROM"):
        docker_build.check_base(image(environment=["CLIPPER_MODEL_PATH=/model"]), "theirs", tmp_path)


def test_a_base_is_looked_at_before_anything_is_built(tmp_path, monkeypatch, logger):
    engine = Engine("c", "localhost", "net")
    monkeypatch.setattr(docker_build, "check_tag", lambda *_: None)
    monkeypatch.setattr(engine, "image", lambda tag, remedy: image(None, ["redis-server"]))
    with pytest.raises(ClipperException, match="image redis:7 has no runtime"):
        docker_build.build(engine, {docker_parts.MODEL: "m_1"}, "t", directory_of(tmp_path), "redis:7", (), logger)
