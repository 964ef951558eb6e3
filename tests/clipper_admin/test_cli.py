"""The command line against a cluster of real sockets; processes come in the integration tests."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from clipper_admin.cli import app
from clipper_admin.managers.supervisor import Process
from clipper_admin.version import __version__

COMMANDS = ["start", "stop", "status", "apps", "models", "register", "link", "unlink", "deploy", "predict", "scale"]
COMMANDS += ["rollback", "logs", "quickstart", "doctor"]


@pytest.fixture
def clipper(manager, monkeypatch, tmp_path):
    """Runs ``clipper ...``; checks the exit code; the result."""
    monkeypatch.setattr("clipper_admin.cli_terminal.LocalContainerManager", lambda *args, **options: manager)
    monkeypatch.chdir(tmp_path)
    manager.process_table = lambda: [Process("query-frontend-0", "RUNNING", 7, 1, 60)]
    manager.programs = lambda: ["management-frontend", "query-frontend-0"]
    manager.log_path = lambda program: tmp_path / f"{program}.log"

    def run(*args, exit_code=0, input=None):  # noqa: A002
        result = CliRunner().invoke(app, args, input=input, catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def answered(clipper):
    """The JSON that ``clipper ... --output json`` prints, which is all there is on standard output."""
    return lambda *args, **options: json.loads(clipper(*args, "--output", "json", **options).stdout)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(clipper, name):
    text = clipper(name, "--help").stdout
    assert f"clipper {name}" in text.partition("Examples:")[2]
    assert "--cluster" in text
    assert "--output" in text


def test_the_version(clipper):
    assert clipper("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    "args", [["nonsense"], ["register", "a"], ["scale", "m", "many"], ["scale", "m", "--", "-1"], ["apps", "--what"]]
)
def test_what_is_not_understood_exits_with_2(clipper, args):
    result = clipper(*args, exit_code=2)
    assert result.stdout == ""
    assert "Usage" in result.stderr


def test_start(answered, manager, server):
    answer = answered("start", "--cache-size", "7", "--frontends", "2")
    assert answer == {"cluster": "default-cluster", "query": server.addr, "management": server.addr}
    assert manager.calls[0][4] == 7
    assert manager.calls[0][-1] == 2


def test_stop(clipper, manager):
    clipper("stop", "--now", "--keep-state")
    assert manager.calls == [("stop_all", False, True)]


def test_a_failure_is_one_block_on_standard_error(clipper, manager):
    manager.fails["connect"] = "Cluster default-cluster is not running"
    result = clipper("apps", exit_code=1)
    assert result.stdout == ""
    assert result.stderr == "Error: Cluster default-cluster is not running\n"


def test_a_refusal_is_said_once(clipper):
    result = clipper("link", "a", "m", exit_code=1)
    assert result.stderr.count("No model with name 'm' exists.") == 1


def test_status(answered, clipper, server):
    answer = answered("status")
    assert (answer["running"], answer["ready"], answer["query"]) == (True, True, server.addr)
    assert answer["processes"][0]["program"] == "query-frontend-0"
    text = clipper("status").stdout
    assert f"Cluster default-cluster at http://{server.addr}: 0 applications, 0 model versions\n" in text
    assert "query-frontend-0  RUNNING  7" in text


def test_status_of_a_cluster_that_does_not_run(answered, clipper, manager):
    manager.fails["connect"] = "Cluster default-cluster is not running"
    assert answered("status", exit_code=1) == {"cluster": "default-cluster", "running": False, "ready": False}


def test_status_of_a_cluster_that_does_not_answer(clipper, server):
    server.registry.failures["/metrics"] = (503, "broken")
    result = clipper("status", exit_code=1)
    assert "its frontends do not answer" in result.stdout
    assert "query-frontend-0" in result.stdout
    assert "broken" in result.stderr


def test_applications(answered, clipper):
    answer = answered("register", "hello-world", "--input-type", "doubles", "--default-output", "-1.0")
    assert (answer["default_output"], answer["latency_slo_micros"]) == ("-1.0", 100000)
    clipper("register", "b", "--input-type", "d", "--default-output", "0", "--slo-micros", "5")
    assert [each["name"] for each in answered("apps")] == ["hello-world", "b"]
    header, row, _ = clipper("apps").stdout.splitlines()
    assert header.split() == ["APPLICATION", "INPUT", "TYPE", "SLO", "(us)", "DEFAULT", "OUTPUT", "LINKED", "MODELS"]
    assert row.split() == ["hello-world", "doubles", "100000", "-1.0"]


def test_a_function_is_deployed_from_the_current_directory(answered, clipper, manager, tmp_path):
    (tmp_path / "sums_cli.py").write_text("def feature_sum(xs):\n    return [str(sum(x)) for x in xs]\n")
    clipper("register", "a", "--input-type", "doubles", "--default-output", "0")
    options = ["--name", "sum", "--version", "2", "--input-type", "doubles", "--replicas", "3", "--batch-size", "4"]
    result = clipper(
        "deploy", "sums_cli:feature_sum", *options, "--link", "a", "--pkg", "x", "--pkg", "y", "--label", "l"
    )
    assert "Carrying local modules: sums_cli\n" in result.stderr
    assert ("build_image", "sum", "2", "default", None, ["x", "y"]) in manager.calls
    assert manager.replicas == {("sum", "2"): 3}
    assert answered("apps")[0]["linked_models"] == ["sum"]
    model = answered("models")[0]
    assert (model["batch_size"], model["labels"], model["replicas"], model["connected_replicas"]) == (4, ["l"], 3, 1)
    assert clipper("models").stdout.splitlines()[1].split() == ["sum", "2", "(current)", "doubles", "1/3", "l"]
    clipper("unlink", "a", "sum")
    assert answered("apps")[0]["linked_models"] == []


def test_an_application_to_link_must_be_there_before_the_deploy(clipper, manager, tmp_path):
    (tmp_path / "sums_cli.py").write_text("def feature_sum(xs):\n    return xs\n")
    options = ["--name", "sum", "--input-type", "doubles", "--link", "nothing"]
    result = clipper("deploy", "sums_cli:feature_sum", *options, exit_code=1)
    assert "No application with name 'nothing' exists." in result.stderr
    assert manager.replicas == {}


@pytest.fixture
def versions(connection):
    for version in ("1", "2", "3"):
        connection.deploy_model("m", version, "doubles", f"image:{version}")


@pytest.mark.usefixtures("versions")
def test_scale(answered, manager):
    assert answered("scale", "m", "4") == {"model_name": "m", "model_version": "3", "replicas": 4}
    assert answered("scale", "m", "0", "--version", "1")["model_version"] == "1"
    assert manager.replicas == {("m", "1"): 0, ("m", "2"): 1, ("m", "3"): 4}


@pytest.mark.usefixtures("versions")
def test_rollback_goes_to_the_version_before(answered, clipper, manager):
    assert answered("rollback", "m") == {"model_name": "m", "current_version": "2"}
    clipper("scale", "m", "0", "--version", "1")
    assert answered("rollback", "m") == {"model_name": "m", "current_version": "1"}
    assert manager.replicas["m", "1"] == 1
    assert "before the current one: name one of 1, 2, 3" in clipper("rollback", "m", exit_code=1).stderr
    assert answered("rollback", "m", "3") == {"model_name": "m", "current_version": "3"}
    assert "Cannot set non-existent version '9'" in clipper("rollback", "m", "9", exit_code=1).stderr
    assert "No versions of model x" in clipper("rollback", "x", exit_code=1).stderr


@pytest.mark.parametrize(
    ("input_type", "typed", "sent"),
    [
        ("doubles", "[1.1, 2]", [1.1, 2]),
        ("strings", "a fine film", "a fine film"),
        ("strings", '"quoted"', "quoted"),
        ("strings", "[1]", "[1]"),
        ("bytes", "AP8=", "AP8="),
    ],
)
def test_predict(clipper, connection, server, input_type, typed, sent):
    connection.register_application("a", input_type, "0", 1000)
    result = clipper("predict", "a", typed, "--user", "ann", "--version", "2")
    assert server.registry.requests[-1] == ("/a/predict", {"input": sent, "user_id": "ann", "version": "2"})
    assert json.loads(result.stdout) == sent


def test_predict_reads_standard_input(answered, clipper, connection, server):
    connection.register_application("a", "doubles", "0", 1000)
    connection.register_application("pictures", "bytes", "0", 1000)
    assert answered("predict", "a", "-", input="[1.5]")["output"] == [1.5]
    assert answered("predict", "pictures", "-", input=b"\x00\xff")["output"] == "AP8="
    assert [each["output"] for each in answered("predict", "a", "--batch", "[[1], [2, 3]]")] == [[1], [2, 3]]
    assert clipper("predict", "a", "--batch", "[[1], [2, 3]]").stdout == "[1]\n[2, 3]\n"


def test_a_default_output_says_why_on_standard_error(clipper, connection, server):
    connection.register_application("a", "doubles", "0", 1000)
    why = {
        "query_id": 0,
        "output": -1.0,
        "default": True,
        "default_explanation": "No connected models found for query",
    }
    server.registry.failures["/a/predict"] = (200, why)
    result = clipper("predict", "a", "[1]")
    assert result.stdout == "-1.0\n"
    assert result.stderr.splitlines()[-1] == "Default output: No connected models found for query"


@pytest.mark.parametrize(
    ("input_type", "typed", "error"),
    [
        ("doubles", "[1.", "INPUT is not JSON"),
        ("bytes", "a?b", "INPUT is not base64"),
        ("strings --batch", "a", "INPUT is not JSON"),
    ],
)
def test_inputs_that_can_not_be_sent(clipper, connection, input_type, typed, error):
    kind, *flags = input_type.split()
    connection.register_application("a", kind, "0", 1000)
    assert error in clipper("predict", "a", typed, *flags, exit_code=1).stderr


def test_predicting_with_an_unknown_application_lists_the_known(clipper, connection):
    connection.register_application("known", "doubles", "0", 1000)
    assert "There is no application 'b'. Registered: known" in clipper("predict", "b", "[1]", exit_code=1).stderr


def test_logs(answered, clipper, tmp_path):
    (tmp_path / "query-frontend-0.log").write_text("one\ntwo\nthree\n")
    assert clipper("logs", "query-frontend-0", "-n", "2").stdout == "two\nthree\n"
    assert clipper("logs", "-n", "1").stdout == "query-frontend-0 | three\n"
    assert answered("logs", "-n", "1") == {"program": "query-frontend-0", "line": "three"}


def test_doctor_reports_problems_with_what_to_do(clipper, answered, monkeypatch):
    from clipper_admin.doctor import Finding

    findings = [Finding("python", True, "fine"), Finding("disk", False, "full", "free some space")]
    monkeypatch.setattr("clipper_admin.doctor.examine", lambda manager: findings)
    assert [each["ok"] for each in answered("doctor", exit_code=1)] == [True, False]
    result = clipper("doctor", exit_code=1)
    assert "PROBLEM  disk    full" in result.stdout
    assert result.stderr == "Error: 1 to see to:\n  disk: free some space\n"


def test_quickstart_fails_if_the_answer_is_wrong(clipper, answered, monkeypatch):
    answer = {"query_id": 1, "output": 6.6, "default": False}
    monkeypatch.setattr("clipper_admin.quickstart.run", lambda home, say: say("step") or answer)
    assert answered("quickstart") == answer
    assert clipper("quickstart").stdout == "step\n"
    answer["default"] = True
    assert "should have been 6.6" in clipper("quickstart", exit_code=1).stderr


def test_logging_is_put_back_after_a_command(clipper):
    import logging

    logger = logging.getLogger("clipper_admin")
    before = (logger.handlers[:], logger.level)
    clipper("apps")
    assert (logger.handlers, logger.level) == before


def test_the_installed_command(tmp_path):
    """As a shell runs it: no colour in a pipe, no traceback, exit code 1."""
    environ = {**os.environ, "CLIPPER_HOME": str(tmp_path), "CLIPPER_CLUSTER": "nothing-here", "FORCE_COLOR": ""}
    command = [sys.executable, "-m", "clipper_admin.cli", "status", "-o", "json"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"cluster": "nothing-here", "running": False, "ready": False}
    assert done.stderr.startswith("Error: Cluster nothing-here is not running")
    assert "\x1b" not in done.stderr


def test_a_bug_is_not_hidden(clipper, monkeypatch):
    def bug(self, **fields):
        raise ZeroDivisionError

    monkeypatch.setattr("clipper_admin.connection.ClipperConnection.get_all_apps", bug)
    with pytest.raises(ZeroDivisionError):
        clipper("apps")


def test_errors_of_the_manager_are_plain(clipper, manager):
    manager.fails["stop_all"] = "[red]not markup[/red]"
    assert clipper("stop", exit_code=1).stderr == "Error: [red]not markup[/red]\n"
