"""Images of models: packages in them, registries that they go to, other Pythons, GPUs."""

import json
import shutil
import socket
import subprocess
import time
import zipfile

import pytest

from clipper_admin import ClipperException
from clipper_admin.deployers.python import deploy_python_closure
from clipper_admin.managers.docker_parts import MODEL, REDIS_PORT
from tests.clipper_admin.managers.polling import eventually
from tests.docker.clusters import IMAGES, adding, ids, manager, running, serve
from tests.docker.containers import CLOSURE_IMAGE, docker
from tests.integration.rest import ask, send

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
CLUSTER_NAME = "model-images"


@pytest.fixture(scope="module")
def clipper():
    with running(CLUSTER_NAME) as connection:
        yield connection


@pytest.fixture(scope="module")
def base_with_wheels(tmp_path_factory):
    """The image of closures, with an index of one package within, and no other."""
    folder, tag = tmp_path_factory.mktemp("wheels"), "clipper-test-wheels:1"
    info = "tiny_of_ours-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_of_ours-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_of_ours.py", "OFFSET = 40\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-of-ours\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    lines = [f"FROM {CLOSURE_IMAGE}", "ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels", "COPY *.whl /wheels/"]
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    docker("build", "--quiet", "--tag", tag, folder)
    yield tag
    docker("rmi", "--force", tag)


def with_package(inputs):
    import tiny_of_ours

    return [sum(each) + tiny_of_ours.OFFSET for each in inputs]


with_package.__module__ = "__main__"  # so that it is pickled by value


def test_packages_are_installed_into_the_image(clipper, base_with_wheels):
    serve(clipper, "packed", with_package, base_image=base_with_wheels, pkgs_to_install=["tiny-of-ours==1.0"])
    assert ask(clipper.get_query_addr(), "packed", [2.0])["output"] == 42.0
    user = docker("exec", *ids(CLUSTER_NAME, f"{MODEL}=packed_1"), "id", "--user", "--name")
    assert user == "clipper"


def test_a_package_that_is_not_there_is_told_in_the_words_of_pip(clipper, base_with_wheels):
    with pytest.raises(ClipperException, match=r"(?s)could not be built.*No matching distribution found for no-such"):
        deploy_python_closure(
            clipper, "packless", 1, "doubles", adding(0), base_with_wheels, pkgs_to_install=["no-such-of-ours"]
        )
    assert ids(CLUSTER_NAME, f"{MODEL}=packless_1") == []
    assert "packless" not in str(clipper.get_all_models())
    assert "no-such-of-ours" not in docker("ps", "--all", "--no-trunc", "--format={{.Command}}")


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Debian's registry on a port of the loopback address, where Docker asks for no certificate; its address."""
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [shutil.which("docker-registry"), "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        eventually(lambda: _answers(address))
        yield address
    finally:
        process.terminate()
        process.wait(15)


def _answers(address):
    try:
        return send(address, "GET", "/v2/").status == 200
    except OSError:
        return False


def test_an_image_is_pushed_to_the_registry_and_runs_from_there(clipper, registry):
    serve(clipper, "pushed", adding(5), registry=f"{registry}/ours")
    name = f"ours/{CLUSTER_NAME}-pushed"
    assert name in send(registry, "GET", "/v2/_catalog").json()["repositories"]  # other tests push, too
    assert send(registry, "GET", f"/v2/{name}/tags/list").json()["tags"] == ["1"]
    (replica,) = ids(CLUSTER_NAME, f"{MODEL}=pushed_1")
    assert docker("inspect", "--format={{.Config.Image}}", replica) == f"{registry}/{name}:1"
    clipper.stop_models(["pushed"])
    assert docker("images", "--quiet", f"{registry}/{name}") == ""


def test_an_image_that_is_only_in_a_registry_is_pulled(registry):
    tag = f"{registry}/theirs/redis:1"
    docker("tag", IMAGES["redis_image"], tag)
    docker("push", "--quiet", tag)
    docker("rmi", tag)
    with running("pulled", redis_image=tag):
        (redis,) = ids("pulled", REDIS_PORT)
        assert docker("inspect", "--format={{.Config.Image}}", redis) == tag
    docker("rmi", tag)


def test_an_image_that_is_nowhere_is_told(registry):
    missing = manager("pulled", redis_image=f"{registry}/theirs/none:1")
    with pytest.raises(
        ClipperException, match=r"no image \S+/theirs/none:1 here, .*\(.*manifest unknown.*\)\. See that"
    ):
        missing.start_clipper()
    assert not missing.exists()


def test_a_registry_that_is_not_there_is_told_in_time(clipper):
    began = time.monotonic()
    with pytest.raises(ClipperException, match=r"127\.0\.0\.1:9/x/.* could not be pushed: .*refused"):
        deploy_python_closure(clipper, "unpushed", 1, "doubles", adding(0), registry="127.0.0.1:9/x")
    assert time.monotonic() - began < 90
    assert ids(CLUSTER_NAME, f"{MODEL}=unpushed_1") == []
    assert docker("images", "--quiet", f"127.0.0.1:9/x/{CLUSTER_NAME}-unpushed") == ""


def test_a_python_without_an_image_says_which_is_missing(clipper):
    with pytest.raises(
        ClipperException,
        match=r"no image \S+/python399-closure-container:.*Make it with `make images` .*, or .* base_image=",
    ):
        deploy_python_closure(clipper, "newest", 1, "doubles", adding(0), python_version="3.99")


def test_a_gpu_that_the_engine_can_not_give_is_told(clipper):
    if shutil.which("nvidia-container-runtime-hook"):
        pytest.skip("this engine may have one")
    with pytest.raises(ClipperException, match=r"with the GPU 3 \(.*toolkit.*could not select device driver"):
        deploy_python_closure(clipper, "drawn", 1, "doubles", adding(0), gpus=["3"])
    assert ids(CLUSTER_NAME, f"{MODEL}=drawn_1") == []
