"""What crashes leave behind, what is not ours, and what containers may use."""

import signal
import subprocess
import sys

import pytest

from clipper_admin import ClipperConnection, ClipperException
from clipper_admin.deployers.python import deploy_python_closure
from clipper_admin.managers.docker_parts import FRONTEND, MANAGEMENT_FRONTEND, MODEL, QUERY_FRONTEND, REDIS_PORT
from tests.clipper_admin.managers.polling import eventually
from tests.docker.clusters import adding, ids, manager, running, serve
from tests.docker.containers import docker
from tests.integration.rest import ask

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

START = """
from clipper_admin import ClipperConnection
from tests.docker.clusters import manager
ClipperConnection(manager({name!r}, prometheus_image=None)).start_clipper(num_frontend_replicas=4)
"""


def interrupted_start(name, label):
    """Kills a session that starts a cluster once it has made a container with this label."""
    with subprocess.Popen([sys.executable, "-c", START.format(name=name)], stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: ids(name, label), timeout=60)
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("label", ["ai.clipper.redis.port", MANAGEMENT_FRONTEND, QUERY_FRONTEND])
def test_an_interrupted_start_is_taken_up(label):
    name = "interrupted"
    interrupted_start(name, label)
    connection = ClipperConnection(manager(name, prometheus_image=None))
    try:
        connection.start_clipper()
        if label == QUERY_FRONTEND:  # how many there were to be was known by then
            assert len(connection.cm.get_query_addrs()) == 4
        serve(connection, "sums", adding(1))
        assert ask(connection.get_query_addr(), "sums", [1.0])["output"] == 2.0
        assert len(connection.cm.programs()) == len(set(connection.cm.programs()))
        with pytest.raises(ClipperException, match="already exists"):
            ClipperConnection(manager(name)).start_clipper()
    finally:
        connection.stop_all(graceful=False)
    assert not connection.cm.exists()


def test_an_interrupted_start_is_removed():
    interrupted_start("dropped", MANAGEMENT_FRONTEND)
    assert ids("dropped")
    connection = ClipperConnection(manager("dropped"))
    connection.stop_all()
    assert not connection.cm.exists()


@pytest.mark.parametrize(
    ("label", "lacks"), [(REDIS_PORT, "its Redis"), (MANAGEMENT_FRONTEND, "its management frontend")]
)
def test_a_part_that_was_removed_by_hand_is_told_and_added(label, lacks):
    connection = ClipperConnection(manager("torn", prometheus_image=None))
    try:
        connection.start_clipper(num_frontend_replicas=2, qf_http_timeout_request=7.5)
        serve(connection, "sums", adding(1))
        docker("rm", "--force", *ids("torn", label))
        with pytest.raises(ClipperException, match=f"torn runs without {lacks}. .*`clipper start`"):
            ClipperConnection(manager("torn")).connect()
        command = [sys.executable, "-m", "clipper_admin.cli", "status", "--manager=docker", "--cluster=torn"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert f"torn runs without {lacks} (in Docker): `clipper start --cluster torn --manager docker" in done.stderr
        again = ClipperConnection(manager("torn", prometheus_image=None))
        again.start_clipper()
        assert again.get_all_apps() == ["sums"]
        eventually(lambda: ask(again.get_query_addr(), "sums", [1.0])["output"] == 2.0, timeout=60)
        assert len(ids("torn", QUERY_FRONTEND)) == 2
        assert "--request-timeout=7.5" in docker("inspect", "--format={{.Config.Cmd}}", *ids("torn", QUERY_FRONTEND))
    finally:
        connection.stop_all(graceful=False)


def test_a_query_frontend_that_was_removed_by_hand_is_added():
    with running("gap") as connection:
        connection.set_num_frontend_replicas(2)
        connection.set_num_frontend_replicas(1)
        with pytest.raises(ClipperException, match="already exists"):
            ClipperConnection(manager("gap")).start_clipper()
        connection.set_num_frontend_replicas(2)
        docker("rm", "--force", *ids("gap", f"{FRONTEND}=frontend-0"))
        again = ClipperConnection(manager("gap", prometheus_image=None))
        again.start_clipper()
        assert len(again.cm.get_query_addrs()) == 2


def test_what_is_not_of_the_cluster_stays():
    network = "clipper_test_shared"
    with running("first", docker_network=network) as first:
        foreign = docker("run", "--detach", f"--network={network}", "clipper-test-redis")
        try:
            serve(first, "sums", adding(1))
            with running("second", docker_network=network) as second:
                second.stop_all(keep_state=True)
                first.stop_all()
                assert ids("first") == []
                assert docker("inspect", "--format={{.State.Running}}", foreign) == "true"
                assert network in docker("network", "ls", "--format={{.Name}}").split()
                docker("rm", "--force", foreign)
                # Nobody but the cluster that was kept is on the network now, and stopped.
                first.start_clipper()
                first.stop_all()
                second.start_clipper()
                assert second.get_all_apps() == []
        finally:
            subprocess.run(["docker", "rm", "--force", foreign], capture_output=True, timeout=30)
    assert network not in docker("network", "ls", "--format={{.Name}}").split()


def greedy():
    """Takes more memory than it may have as it is loaded."""

    class Greedy:
        def __call__(self, inputs):
            return inputs

        def __reduce__(self):
            return eval, ("[bytearray(1 << 24) for _ in range(100)]",)

    return Greedy()


def test_limits_hold_and_a_model_beyond_them_is_told():
    with running("limited", extra_container_kwargs={"mem_limit": "192m"}) as clipper:
        for each in ids("limited"):
            assert docker("inspect", "--format={{.HostConfig.Memory}}", each) == str(192 << 20)
        with pytest.raises(
            ClipperException, match=r"(?s)greedy:1 failed to start: .* ran out of memory.*Make the model"
        ):
            deploy_python_closure(clipper, "greedy", 1, "doubles", greedy())
        assert ids("limited", f"{MODEL}=greedy_1") == []


def test_what_is_given_besides_reaches_models(tmp_path):
    (tmp_path / "number").write_text("40")
    tmp_path.chmod(0o755)  # the containers' user is another
    volumes = {str(tmp_path): {"bind": "/given", "mode": "ro"}}
    given = {"volumes": volumes, "environment": ["OF_OURS=2"], "labels": ["ours"]}

    def reading(inputs):
        import os
        from pathlib import Path

        return [float(Path("/given/number").read_text()) + float(os.environ["OF_OURS"])] * len(inputs)

    with running("given", extra_container_kwargs=given) as clipper:
        serve(clipper, "reading", reading)
        assert ask(clipper.get_query_addr(), "reading", [1.0])["output"] == 42.0
        assert len(ids("given", "ours")) == len(ids("given"))


class Unloadable:
    def __call__(self, inputs):
        return inputs

    def __reduce__(self):
        return eval, ("{}['no such thing']",)


def test_a_model_that_cannot_be_loaded_is_told_with_its_exit_status():
    """The engine has started it again by the time that it is looked at, or is about to."""
    with (
        running("raising") as clipper,
        pytest.raises(ClipperException, match=r"(?s)raising:1 failed .* ended with exit status 1\. .*no such thing"),
    ):
        deploy_python_closure(clipper, "raising", 1, "doubles", Unloadable())
