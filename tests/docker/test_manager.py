"""``DockerContainerManager`` on a real engine: what the local manager does, in containers."""

import os
import threading
from pathlib import Path

import pytest

from clipper_admin import ClipperConnection, ClipperException
from clipper_admin.deployers.python import deploy_python_closure
from clipper_admin.managers.docker_parts import CLUSTER, MODEL, QUERY_FRONTEND, REDIS_PORT
from tests.clipper_admin.managers.polling import eventually
from tests.docker.clusters import IMAGES, NETWORK, adding, ids, manager, running, serve
from tests.docker.containers import docker
from tests.integration.rest import ask, post, send

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def clipper():
    connection = ClipperConnection(manager("one"))
    connection.start_clipper(cache_size=0, num_frontend_replicas=2)
    try:
        yield connection
    finally:
        connection.stop_all(graceful=False)
        assert ids("one") == []


def apps_of(clipper):
    """None while the store can't be asked."""
    try:
        return clipper.get_all_apps()
    except ClipperException:
        return None


def test_a_model_is_deployed_scaled_and_stopped(clipper):
    serve(clipper, "sums", adding(0.5), replicas=2)
    assert [ask(each, "sums", [1.0, 2.0])["output"] for each in clipper.cm.get_query_addrs()] == [3.5, 3.5]
    assert clipper.get_num_replicas("sums") == 2
    clipper.set_num_replicas("sums", 1)
    assert len(ids("one", f"{MODEL}=sums_1")) == 1
    deploy_python_closure(clipper, "sums", 2, "doubles", adding(10))
    eventually(lambda: ask(clipper.get_query_addr(), "sums", [1.0])["output"] == 11.0)
    clipper.set_model_version("sums", 1)
    eventually(lambda: ask(clipper.get_query_addr(), "sums", [1.0])["output"] == 1.5)
    clipper.stop_models(["sums"])
    assert [ids("one", f"{MODEL}=sums_{version}") for version in (1, 2)] == [[], []]
    assert docker("images", "--quiet", f"--filter=label={MODEL}=sums_1", f"--filter=label={CLUSTER}=one") == ""


def test_feedback_comes_through_any_frontend(clipper):
    serve(clipper, "learned", adding(0), policy="thompson")
    first, second = clipper.cm.get_query_addrs()
    answers = [ask(first, "learned", [float(number)]) for number in range(20)]
    for answer in answers:  # what was decided is told to the others within moments
        body = {"label": 1, "query_id": answer["query_id"]}
        eventually(lambda body=body: post(second, "/learned/update", body).status == 200)
    assert clipper.get_selection_state("learned")["feedbacks"] == 20


def test_another_session_finds_it(clipper):
    other = ClipperConnection(manager("one"))
    other.connect()
    assert other.get_query_addr() == clipper.get_query_addr()
    assert other.get_all_apps() == clipper.get_all_apps()


def test_a_second_cluster_lives_beside_it(clipper):
    other = ClipperConnection(manager("two", prometheus_image=None))
    other.start_clipper()
    try:
        serve(other, "sums", adding(100))
        assert ask(other.get_query_addr(), "sums", [1.0])["output"] == 101.0
        assert "sums" not in clipper.get_all_apps() or clipper.get_all_models() != other.get_all_models()
    finally:
        other.stop_all()
    assert ids("two") == []
    assert ids("one", QUERY_FRONTEND, running=True)


def test_what_cannot_be_started_says_why_and_leaves_nothing(clipper):
    with pytest.raises(ClipperException, match="already exists"):
        ClipperConnection(manager("one")).start_clipper()
    with pytest.raises(ClipperException, match=r"(?s)bad-sums:1 failed to start.*The end of its log:.*no such thing"):
        deploy_python_closure(clipper, "bad-sums", 1, "doubles", Unloadable())
    assert ids("one", f"{MODEL}=bad-sums_1") == []
    with pytest.raises(ClipperException, match="There is no image nowhere/query:1 here"):
        ClipperConnection(manager("three")).start_clipper(query_frontend_image="nowhere/query:1")
    assert ids("three") == []
    with pytest.raises(ClipperException, match=r"it is not running\. Call ClipperConnection.start_clipper"):
        ClipperConnection(manager("three")).connect()
    with pytest.raises(ClipperException, match="network 'host'"):
        manager("three", docker_network="host")


class Unloadable:
    def __call__(self, inputs):
        return inputs

    def __reduce__(self):
        return eval, ("{}['no such thing']",)


def test_a_killed_replica_is_replaced_and_costs_no_query(clipper):
    serve(clipper, "killed", adding(1), replicas=2)
    address, answers, stop = clipper.get_query_addr(), [], threading.Event()

    def load():
        while not stop.is_set():
            answers.append(ask(address, "killed", [1.0]))

    loaders = [threading.Thread(target=load) for _ in range(4)]
    for each in loaders:
        each.start()
    try:
        victim = ids("one", f"{MODEL}=killed_1")[0]
        eventually(lambda: len(answers) > 100)
        os.kill(int(docker("inspect", "--format={{.State.Pid}}", victim)), 9)
        count = len(answers)
        eventually(lambda: len(answers) > count + 200)
        restarts = "--format={{.RestartCount}} {{.State.Running}}"
        eventually(lambda: docker("inspect", restarts, victim) == "1 true", timeout=60)
    finally:
        stop.set()
        for each in loaders:
            each.join(30)
    assert {(each["output"], each["default"]) for each in answers} == {(2.0, False)}


def test_prometheus_knows_every_frontend_and_replica(clipper):
    serve(clipper, "seen", adding(0))

    def up():
        answer = send(clipper.get_metric_addr(), "GET", "/api/v1/query?query=up")
        return answer.status == 200 and [each["value"][1] for each in answer.json()["data"]["result"]]

    eventually(lambda: (found := up()) and len(found) >= 3 and set(found) == {"1"}, timeout=60)


def test_logs_are_copied(clipper, tmp_path):
    written = clipper.get_clipper_logs(str(tmp_path))
    assert len(written) == len(ids("one"))
    assert any("serves on" in Path(each).read_text() for each in written)


def test_a_kept_cluster_is_taken_up_again(clipper):
    connection = ClipperConnection(manager("kept", prometheus_image=None))
    connection.start_clipper()
    try:
        serve(connection, "sums", adding(7))
        connection.stop_all(keep_state=True)
        assert ids("kept", running=True) == []
        connection.start_clipper()
        assert connection.get_all_apps() == ["sums"]
        eventually(lambda: ask(connection.get_query_addr(), "sums", [1.0])["output"] == 8.0, timeout=60)
        docker("kill", "--signal=KILL", *ids("kept", REDIS_PORT))
        docker("start", *ids("kept", REDIS_PORT))
        eventually(lambda: ask(connection.get_query_addr(), "sums", [2.0])["output"] == 9.0, timeout=60)
        eventually(lambda: apps_of(connection) == ["sums"], timeout=30)
    finally:
        connection.stop_all(graceful=False)
    assert ids("kept") == []


def test_a_redis_that_is_there_already_is_used_and_left_alone(clipper):
    """As for users who run one for all: the cluster starts none, and ends none."""
    redis = docker("run", "--detach", "--network", NETWORK, "--name", "redis-of-others", IMAGES["redis_image"])
    try:
        docker("exec", redis, "redis-cli", "set", "others", "7")
        with running("guest", redis_ip="redis-of-others", redis_port=6379) as connection:
            assert ids("guest", REDIS_PORT) == []
            serve(connection, "sums", adding(3), policy="thompson")
            answer = ask(connection.get_query_addr(), "sums", [4.0])
            body = {"query_id": answer["query_id"], "label": 7}
            assert post(connection.get_query_addr(), "/sums/update", body).json()["accepted"]
            assert any(b"{guest}" in key.encode() for key in docker("exec", redis, "redis-cli", "keys", "*").split())
        assert docker("exec", redis, "redis-cli", "get", "others") == "7"
    finally:
        docker("rm", "--force", "--volumes", redis)
