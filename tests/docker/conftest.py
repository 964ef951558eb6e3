import uuid

import pytest

from tests.docker.containers import (
    CLOSURE_IMAGE,
    MANAGEMENT_IMAGE,
    QUERY_IMAGE,
    SKLEARN_IMAGE,
    Container,
    docker,
)
from tests.docker.engine import answers


@pytest.fixture(scope="session", autouse=True)
def images(request):
    """The tests need them, and make none: that takes minutes."""
    if not any(item.get_closest_marker("docker") for item in request.session.items):
        return
    assert answers(), "no Docker engine is there: run `make test-docker`"
    for image in (QUERY_IMAGE, MANAGEMENT_IMAGE, CLOSURE_IMAGE, SKLEARN_IMAGE):
        assert docker("image", "ls", "--quiet", image), f"there is no image {image}: run `make test-docker`"


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """No test sees the locks of a cluster that is not of its module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIPPER_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def run():
    """Starts containers, with ``docker run``'s flags, on a network of their own; all are removed after the tests."""
    mark, started = f"clipper-test-{uuid.uuid4().hex[:8]}", []
    docker("network", "create", mark)
    docker("volume", "create", mark)

    def run(image, *command, flags=()):
        container = Container(
            docker("run", "--detach", "--health-interval=500ms", "--network", mark, *flags, image, *command)
        )
        started.append(container.id)
        return container

    run.volume = mark
    yield run
    if started:
        docker("rm", "--force", "--volumes", *started)
    docker("network", "rm", mark)
    docker("volume", "rm", mark)


@pytest.fixture(scope="module")
def start_server(run):
    """Starts one of the servers on the store that all of a module share, its port published on a free one."""

    def start(which, *command, port, name="", flags=()):
        image = {"query": QUERY_IMAGE, "management": MANAGEMENT_IMAGE}[which]
        own = ["--volume", f"{run.volume}:/data", "--publish", f"127.0.0.1::{port}"]
        own += ["--network-alias", name] if name else []
        return run(image, which, "--store=/data/clipper.db", *command, flags=[*own, *flags])

    return start


@pytest.fixture(scope="module")
def management(start_server):
    container = start_server("management", port=1338)
    container.await_health()
    return container


@pytest.fixture(scope="module")
def query(start_server, management):
    container = start_server("query", port=1337, name="query")
    container.await_health()
    return container
