"""docs/docker.md: its session is run as it is written, and what it names is there."""

import inspect
import re
import subprocess

import pytest

from clipper_admin import ClipperConnection, DockerContainerManager
from clipper_admin.version import __registry__
from tests.documents import Reader, blocks, read, section

PAGE = read("docs/docker.md")
STAND_INS = {"redis:7": "clipper-test-redis", "prom/prometheus:latest": "clipper-test-prometheus"}


def words_of(text):
    return re.findall(r"`([a-z_]+)`", text)


def test_the_arguments_of_the_manager_are_those_that_are_named():
    known = inspect.signature(DockerContainerManager).parameters
    first = section(PAGE, "The manager").split("\n\n")[1]
    options = {"mem_limit", "nano_cpus", "environment", "labels", "volumes"}
    assert [each for each in words_of(first) if each not in options] == list(known)


def test_the_variables_of_make_are_those_that_are_named():
    makefile = read("Makefile")
    names = re.findall(r"^\| `([A-Z_]+)` \|", section(PAGE, "Images"), re.MULTILINE)
    assert names
    for name in names:
        assert re.search(rf"^{name} \?=", makefile, re.MULTILINE), name


def docker(*words, check=True):
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


@pytest.fixture
def named_images():
    """The images that the page takes for given, as of other names where no registry is within reach."""
    missing = [name for name in STAND_INS if not docker("image", "ls", "--quiet", name)]
    for name in missing:
        docker("tag", STAND_INS[name], name)
    yield
    for name in missing:
        docker("rmi", name, check=False)


@pytest.mark.docker
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("named_images")
def test_the_session_and_the_commands_do_what_they_say(tmp_path):
    (session,) = blocks(PAGE[: PAGE.index("## The command")])
    reader = Reader(tmp_path)
    reader.environ["CLIPPER_REGISTRY"] = __registry__
    try:
        reader.python(session.text)
        export, *commands = blocks(section(PAGE, "The command"))[0].text.splitlines()
        said = {each.split()[1]: reader.shell(f"{export}\n{each}") for each in commands}
        assert said["predict"] == "6.6\n"
        assert "sum-model_1-1" in said["status"]
        assert "Loading sum-model:1" in said["logs"]
    finally:
        cluster = ClipperConnection(DockerContainerManager("shop"))
        left = cluster.cm.exists()
        cluster.stop_all(graceful=False)
    assert not left
