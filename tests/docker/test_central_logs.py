"""``use_centralized_log``: what every container writes goes to one, by Docker's log driver."""

import json

import pytest

from clipper_admin import ClipperConnection
from tests.clipper_admin.managers.polling import eventually
from tests.docker.clusters import ids, manager, running, serve
from tests.docker.containers import docker
from tests.integration.rest import ask

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]
OPTIONS = {"use_centralized_log": True, "fluentd_image": "clipper-test-fluentd", "fluentd_port": 0}


@pytest.fixture(scope="module")
def clipper(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIPPER_HOME", str(tmp_path_factory.mktemp("home")))
        with running("central", **OPTIONS) as connection:
            yield connection


def saying(words):
    def say(inputs):
        print(words, flush=True)  # noqa: T201
        return [1.0 for _ in inputs]

    return say


def arrived(clipper):
    """The lines that the fluentd has, each with the name of the container that wrote it."""
    lines = [line for _, line in clipper.cm.log_lines("fluentd", 10_000, follow=False)]
    return [json.loads(line.partition(": ")[2]) for line in lines if ": {" in line]


def writes(clipper, container, words):
    return any(
        each["container_name"].startswith(f"/{container}") and words in each["log"] for each in arrived(clipper)
    )


def test_lines_of_servers_and_of_models_arrive(clipper):
    serve(clipper, "loud", saying("so that all may hear it"))
    eventually(lambda: writes(clipper, "loud_1", "so that all may hear it"), timeout=30)
    said = {"query_frontend": "serves on", "mgmt_frontend": "listening on", "redis": "Ready to accept connections"}
    for server, words in said.items():
        eventually(lambda server=server, words=words: writes(clipper, server, words), timeout=30)


def test_models_of_other_sessions_write_there_too(clipper):
    other = ClipperConnection(manager("central"))  # that it is so is the cluster's own affair
    other.connect()
    serve(other, "later", saying("from somebody else"))
    eventually(lambda: writes(clipper, "later_1", "from somebody else"), timeout=30)


def test_each_container_can_be_read_as_well(clipper):
    """Docker keeps a copy of what such a driver has sent away."""
    lines = [line for _, line in clipper.cm.log_lines("query-frontend-0", 100, follow=False)]
    assert any("serves on" in line for line in lines)


def test_a_cluster_serves_on_without_its_fluentd(clipper):
    (fluentd,) = ids("central", "ai.clipper.fluentd.port")
    serve(clipper, "quiet", saying("into the void"))
    docker("stop", "--time=1", fluentd)
    try:
        answers = [ask(clipper.get_query_addr(), "quiet", [float(number)]) for number in range(50)]
        assert {each["output"] for each in answers} == {1.0}
    finally:
        docker("start", fluentd)
    eventually(lambda: writes(clipper, "quiet_1", "into the void"), timeout=60)
