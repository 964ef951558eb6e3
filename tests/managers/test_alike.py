"""Local and Docker behave alike: what a user does with a cluster, done with each manager."""

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clipper_admin import ClipperException, UnconnectedException
from clipper_admin.deployers.python import create_endpoint, deploy_python_closure
from tests.clipper_admin.managers.polling import eventually
from tests.integration.models import AtImport
from tests.integration.rest import ask, post

pytestmark = pytest.mark.timeout(240)


def adding(number):
    return lambda inputs: [sum(each) + number for each in inputs]


def saying(words):
    def say(inputs):
        print(words, flush=True)  # noqa: T201
        return [0.0 for _ in inputs]

    return say


def failing(inputs):
    raise KeyError("no such customer")


failing.__module__ = "__main__"  # so that it is pickled by value


def output(clipper, app, number=1.0):
    return ask(clipper.get_query_addr(), app, [number])["output"]


def comes(clipper, app, expected):
    eventually(lambda: output(clipper, app) == expected, timeout=30)


def versions(clipper, name):
    return sorted(
        each["model_version"] for each in clipper.get_all_models(verbose=True) if each["model_name"] == name
    )


def replicas_of(clipper, name):
    return [each for each in clipper.cm.programs() if each.startswith(f"{name}_")]


def test_what_needs_a_cluster_says_so_before_there_is_one(place):
    connection = place.connection("never")
    with pytest.raises(UnconnectedException):
        connection.get_all_apps()
    with pytest.raises(ClipperException, match=r"call start_clipper\(\) or connect\(\) first"):
        connection.cm.deploy_model("m", "1", "doubles", "an-image", 1)
    with pytest.raises(ClipperException, match=r"is not running.*ClipperConnection\.start_clipper\(\) to start it"):
        connection.connect()
    for wrong in ({"cache_size": -1}, {"num_frontend_replicas": 0}, {"qf_http_timeout_request": "soon"}):
        with pytest.raises(ClipperException, match=next(iter(wrong))):
            connection.start_clipper(**wrong)
    assert connection.cm.programs() == []
    assert not connection.cm.exists()
    connection.stop_all()  # that there is none is fine


def test_a_model_from_registration_to_its_end(clipper):
    clipper.register_application("whole", "doubles", "-1.0", 5_000_000)
    answer = ask(clipper.get_query_addr(), "whole", [1.0])
    assert (answer["output"], answer["default"], answer["default_reason"]) == (-1.0, True, "no_model")
    deploy_python_closure(clipper, "whole-model", 1, "doubles", adding(0.5), labels=["first"])
    clipper.link_model_to_app("whole", "whole-model")
    comes(clipper, "whole", 1.5)
    assert clipper.get_model_info("whole-model", 1)["labels"] == ["first"]
    assert clipper.get_num_replicas("whole-model") == 1
    clipper.unlink_model_from_app("whole", "whole-model")
    eventually(lambda: ask(clipper.get_query_addr(), "whole", [1.0])["default"])
    clipper.stop_models(["whole-model"])
    clipper.delete_application("whole")
    assert "whole" not in clipper.get_all_apps()
    assert (versions(clipper, "whole-model"), replicas_of(clipper, "whole-model")) == ([], [])
    eventually(lambda: post(clipper.get_query_addr(), "/whole/predict", {"input": [1.0]}).status == 404)


def test_feedback_is_taken_and_taught_from(clipper):
    clipper.register_application("taught", "doubles", "-1.0", 5_000_000, selection_policy="hedge")
    for name, number in (("right", 1), ("wrong", 7)):
        deploy_python_closure(clipper, name, 1, "doubles", adding(number))
        clipper.link_model_to_app("taught", name)
    eventually(lambda: len(clipper.predict("taught", [0.0]).get("models", ())) == 2, timeout=30)
    for number in range(20):
        answer = clipper.predict("taught", [float(number)])
        assert clipper.send_feedback("taught", number + 1.0, query_id=answer["query_id"])["accepted"]
    weights = clipper.get_selection_state("taught")
    assert weights["feedbacks"] == 20
    assert clipper.predict("taught", [5.0])["output"] == 6.0


def test_another_process_finds_the_cluster(place, clipper, serve):
    serve(clipper, "found", adding(2))
    assert place.cli("one", "predict", "found", "[1.0]") == "3.0\n"
    other = place.connection("one")
    other.connect()
    assert (other.get_query_addr(), other.get_all_apps()) == (clipper.get_query_addr(), clipper.get_all_apps())
    with pytest.raises(ClipperException, match="cannot be started because it already exists"):
        place.connection("one").start_clipper()


def test_sessions_that_scale_a_version_at_once_do_not_add_up(place, clipper, serve):
    serve(clipper, "raced", adding(0))
    others = [place.connection("one") for _ in range(3)]
    for each in others:
        each.connect()
    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(lambda each: each.set_num_replicas("raced", 3), others))
    assert len(replicas_of(clipper, "raced")) == 3


def test_replicas_come_and_go(clipper, serve):
    serve(clipper, "many", adding(0), num_replicas=2)
    first, _ = replicas_of(clipper, "many")
    clipper.set_num_replicas("many", 3)
    assert len(replicas_of(clipper, "many")) == clipper.get_num_replicas("many") == 3
    clipper.set_num_replicas("many", 1)
    assert replicas_of(clipper, "many") == [first]
    assert output(clipper, "many") == 1.0
    clipper.set_num_replicas("many", 0)
    eventually(lambda: ask(clipper.get_query_addr(), "many", [3.0]).get("default_reason") == "no_replica")
    clipper.set_num_replicas("many", 1)
    comes(clipper, "many", 1.0)


def test_versions_take_over_and_go_back(clipper, serve):
    serve(clipper, "versioned", adding(1))
    deploy_python_closure(clipper, "versioned", 2, "doubles", adding(2))
    comes(clipper, "versioned", 3.0)
    clipper.set_model_version("versioned", 1)
    comes(clipper, "versioned", 2.0)
    with pytest.raises(ClipperException, match="'versioned' and version '2' already exists"):
        deploy_python_closure(clipper, "versioned", 2, "doubles", adding(3))
    clipper.stop_inactive_model_versions(["versioned"])
    assert versions(clipper, "versioned") == ["1"]
    assert output(clipper, "versioned") == 2.0
    deploy_python_closure(clipper, "versioned", 2, "doubles", adding(4))
    comes(clipper, "versioned", 5.0)
    clipper.stop_versioned_models({"versioned": [1]})
    assert [each.split("-")[0] for each in replicas_of(clipper, "versioned")] == ["versioned_2"]
    with pytest.raises(ClipperException, match="version '9' does not exist, nothing was stopped"):
        clipper.stop_versioned_models({"versioned": [2, 9]})
    assert versions(clipper, "versioned") == ["2"]


def test_a_model_that_cannot_start_says_why_and_leaves_nothing(clipper):
    before = clipper.cm.programs()
    code = "import no_such_module_of_ours"
    with pytest.raises(ClipperException) as caught:
        deploy_python_closure(clipper, "broken", 1, "doubles", AtImport(code))
    said = str(caught.value)
    assert said.startswith("Model broken:1 failed to start: ")
    assert "Traceback (most recent call last)" in said
    assert "No module named 'no_such_module_of_ours'" in said
    assert "deploy with pkgs_to_install=[...]" in said
    assert clipper.cm.programs() == before
    assert versions(clipper, "broken") == []
    deploy_python_closure(clipper, "broken", 1, "doubles", adding(0))  # the same name and version, mended
    clipper.stop_models("broken")


def test_a_model_that_is_not_ready_in_time_says_where_it_is(place, clipper):
    hurried = place.connection("one", deploy_timeout=3)
    hurried.connect()
    with pytest.raises(
        ClipperException, match=r"(?s)Model sleepy:1 was not ready after 3 s.*<string>.*deploy_timeout="
    ):
        deploy_python_closure(hurried, "sleepy", 1, "doubles", AtImport("import time; time.sleep(600)"))
    assert replicas_of(clipper, "sleepy") == []


def test_an_exception_of_the_model_fails_its_query_alone(clipper):
    create_endpoint(clipper, "raising", "doubles", failing)
    answer = eventually(
        lambda: (said := ask(clipper.get_query_addr(), "raising", [1.0]))["default_reason"] == "model_error" and said
    )
    assert "no such customer" in answer["default_explanation"]


def test_an_image_is_built_once_and_deployed_later(clipper, tmp_path):
    import cloudpickle

    (tmp_path / "func.pkl").write_bytes(cloudpickle.dumps(adding(3)))
    tag = clipper.build_model("built", 1, str(tmp_path), "default")
    assert tag == f"{clipper.cm.cluster_identifier}-built:1"
    clipper.deploy_model("built", 1, "doubles", tag)
    with pytest.raises(ClipperException, match="built:1 has 1 replicas that run from its image"):
        clipper.build_model("built", 1, str(tmp_path), "default")
    clipper.stop_models(["built"])
    with pytest.raises(ClipperException, match="is no image"):
        clipper.deploy_model("built", 1, "doubles", tag)
    with pytest.raises(ClipperException, match="is not a directory"):
        clipper.build_model("built", 1, str(tmp_path / "nowhere"), "default")


def test_metrics_tell_of_the_queries(clipper, serve):
    serve(clipper, "counted", adding(0))
    meters = {key: value for each in clipper.inspect_instance()["counters"] for key, value in each.items()}
    assert meters["app:counted:num_predictions"]["count"] > 0


def test_logs_are_copied(place, clipper, serve, tmp_path):
    serve(clipper, "loud", saying("as loud as can be"))
    written = clipper.get_clipper_logs(str(tmp_path / "logs"))
    assert len(written) >= 3
    assert any("as loud as can be" in Path(each).read_text() for each in written)


def test_the_command_shows_logs(place, clipper, serve):
    serve(clipper, "spoken", saying("a line of its own"))
    assert "a line of its own" in place.cli("one", "logs", "spoken_1-0").splitlines()
    everything = place.cli("one", "logs", "-n", "1000")
    assert "spoken_1-0 | a line of its own" in everything
    assert "query-frontend-0 | " in everything
    found = [json.loads(each) for each in place.cli("one", "logs", "-n", "2", "-o", "json").splitlines()]
    assert all(each.keys() == {"program", "line"} for each in found)
    assert max(sum(each["program"] == program for each in found) for program in clipper.cm.programs()) == 2
    said = place.cli("one", "logs", "nonsense", exit_code=1)
    assert re.search(r"has no program 'nonsense'; it has: .*management-frontend, .*query-frontend-0, ", said)


def test_the_command_follows_logs(place, clipper, serve):
    serve(clipper, "followed", saying("once more"))
    command = [sys.executable, "-m", "clipper_admin.cli", "logs", "followed_1-0", "-f", "-n", "0"]
    command += ["--cluster", place.name("one"), "--manager", place.kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            os.set_blocking(process.stdout.fileno(), False)
            numbers = iter(range(2, 10_000))

            def a_line():
                output(clipper, "followed", float(next(numbers)))
                return process.stdout.readline()

            assert eventually(a_line, timeout=30) == "once more\n"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(15)


def test_the_command_shows_the_state(place, clipper, serve):
    serve(clipper, "shown", adding(0))
    state = json.loads(place.cli("one", "status", "-o", "json"))
    assert (state["running"], state["ready"], state["query"]) == (True, True, clipper.get_query_addr())

    def states():
        everything = json.loads(place.cli("one", "status", "-o", "json"))["processes"]
        return {each["state"] for each in everything if each["program"] in {"shown_1-0", "management-frontend"}}

    # supervisord calls a process STARTING in its first second, though it may serve by then.
    assert eventually(lambda: states() == {"RUNNING"})
    assert "shown" in place.cli("one", "models")
    said = place.cli("no-such", "status", exit_code=1)
    assert f"Cluster {place.name('no-such')} is not running" in said
    assert place.name("one") in said


def test_the_command_deploys_and_scales(place, clipper):
    (Path(place.home) / "sums_of_alike.py").write_text("def add(inputs):\n    return [sum(x) for x in inputs]\n")
    place.cli(
        "one", "register", "typed", "--input-type", "doubles", "--default-output", "-1", "--slo-micros", "5000000"
    )
    deploy = ["deploy", "sums_of_alike:add", "--name", "typed", "--input-type", "doubles", "--link", "typed"]
    place.cli("one", *deploy)
    comes(clipper, "typed", 1.0)
    place.cli("one", "scale", "typed", "2")
    assert clipper.get_num_replicas("typed") == 2
    place.cli("one", "undeploy", "typed")
    assert replicas_of(clipper, "typed") == []


def test_clusters_do_not_see_each_other(place, clipper, serve):
    serve(clipper, "own", adding(0))
    with place.running("two", num_frontend_replicas=2) as other:
        serve(other, "own", adding(100))
        assert (output(clipper, "own"), output(other, "own")) == (1.0, 101.0)
        assert other.get_all_apps() == ["own"]
        assert [each for each in other.cm.programs() if each.startswith("query")] == [
            "query-frontend-0",
            "query-frontend-1",
        ]
        both = {place.name("one"), place.name("two")}
        assert both <= set(other.cm.running_clusters())
    assert not other.cm.exists()
    assert output(clipper, "own") == 1.0


def is_json(line):
    try:
        return json.loads(line)["level"] == "info"
    except (ValueError, KeyError, TypeError):
        return False


def test_logs_are_json_if_so_asked_also_when_it_is_taken_up_by_others(place, serve):
    with place.running("lines", log_format="json") as first:
        serve(first, "sums", adding(0))
        other = place.connection("lines")
        other.connect()
        other.set_num_replicas("sums", 2)
        for program in (*replicas_of(other, "sums"), "query-frontend-0", "management-frontend"):
            assert any(is_json(line) for _, line in other.cm.log_lines(program, 100, follow=False)), program


def test_every_model_is_stopped_and_nothing_else(place, serve):
    with place.running("stopped") as other:
        serve(other, "a", adding(0))
        serve(other, "b", adding(0))
        other.stop_all_model_containers()
        assert (other.get_all_models(), other.get_all_apps()) == ([], ["a", "b"])
        assert (replicas_of(other, "a"), replicas_of(other, "b")) == ([], [])
        assert ask(other.get_query_addr(), "a", [2.0])["default"]


def test_a_cluster_is_kept_and_taken_up_again(place, serve):
    with place.running("kept", cache_size=0, num_frontend_replicas=2) as first:
        serve(first, "sums", adding(7))
        before = (first.get_query_addr(), first.cm.get_admin_addr(), first.cm.programs())
        first.stop_all(keep_state=True)
        with pytest.raises(ClipperException, match="is not running"):
            place.connection("kept").connect()
        assert first.cm.exists()
        again = place.connection("kept")
        if place.kind == "docker":
            place.cli("kept", "start", "--redis-image", "clipper-test-redis", "--prometheus-image", "")
            again.connect()
        else:
            place.cli("kept", "start")
            again.connect()
        after = (again.get_query_addr(), again.cm.get_admin_addr())
        assert again.get_all_apps() == ["sums"]
        comes(again, "sums", 8.0)
        assert again.cm.programs() == before[2]
        assert after == before[:2]
        place.cli("kept", "stop", "--now")
        assert not again.cm.exists()
