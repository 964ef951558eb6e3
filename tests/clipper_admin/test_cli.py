"""The command line against a cluster of real sockets; processes come in the integration tests."""

import json
import os
import signal
import subprocess
import sys

import pytest

from clipper_admin.defaults import Default
from clipper_admin.exceptions import ClusterExistsException
from clipper_admin.managers.folders import Cluster, ClusterFolder
from clipper_admin.version import __version__

COMMANDS = ["start", "stop", "status", "apps", "models", "register", "link", "unlink", "deploy", "predict", "scale"]
COMMANDS += ["undeploy", "batching", "rollback", "logs", "quickstart", "doctor", "policy", "promote", "feedback"]
COMMANDS += ["forget", "export", "replay"]


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


def test_a_cluster_that_runs_is_not_started(clipper, manager, monkeypatch):
    def refuse(*_):
        raise ClusterExistsException("second")

    monkeypatch.setattr(manager, "start_clipper", refuse)
    stderr = clipper("start", "--cluster", "second", exit_code=1).stderr
    assert stderr.startswith("Error: Cluster second runs already: `clipper status --cluster second` shows it, ")


@pytest.fixture
def made(clipper, manager, monkeypatch):
    """The arguments of every manager that the commands make; all are ``manager``."""
    made = []
    for kind in ("cli_terminal.LocalContainerManager", "managers.docker.DockerContainerManager"):
        monkeypatch.setattr(
            f"clipper_admin.{kind}", lambda *args, kind=kind, **options: (made.append((args, options)), manager)[1]
        )
    return made


def test_what_is_not_given_is_left_to_the_manager(clipper, made, manager):
    clipper("start")
    assert made[-1] == (("default-cluster",), {"home": None})
    assert all(isinstance(each, Default) for each in (manager.calls[-1][4], *manager.calls[-1][6:]))
    clipper("start", "--management-port", "0", "--frontends", "1", "--cache-size", "0")
    assert made[-1][1] == {"home": None, "clipper_management_port": 0}
    assert (manager.calls[-1][4], manager.calls[-1][-1]) == (0, 1)
    assert not isinstance(manager.calls[-1][-1], Default)


def test_a_cluster_in_docker(clipper, made, manager, monkeypatch):
    monkeypatch.setenv("CLIPPER_REDIS_IMAGE", "our/redis")
    clipper("start", "--manager", "docker", "--prometheus-image", "", "--query-port", "80", "--cluster", "two")
    assert made[-1] == (
        ("two",),
        {"clipper_query_port": 80, "redis_image": "our/redis", "prometheus_image": None},
    )
    monkeypatch.setenv("CLIPPER_MANAGER", "docker")
    clipper("apps")
    assert made[-1] == (("default-cluster",), {})
    assert '"http://management-frontend.two:1338/admin/' in clipper("prometheus", "--cluster", "two").stdout
    manager.fails["connect"] = "no engine"
    said = clipper("apps", "--cluster", "two", exit_code=1).stderr
    assert "`clipper start --cluster two --manager docker` starts it" in said


@pytest.mark.parametrize("name", ["gc", "quickstart"])
def test_what_is_about_this_machine_alone_says_so(clipper, name):
    said = clipper(name, "--manager", "docker", exit_code=1).stderr
    assert said.startswith(f"Error: `clipper {name}` is about clusters of processes on this machine")


def test_stop(clipper, manager):
    clipper("stop", "--now", "--keep-state")
    assert manager.calls == [("stop_all", False, True)]


def test_stopping_what_is_not_there_says_only_that(clipper, answered, manager, tmp_path):
    (tmp_path / "clusters" / "default-cluster").rmdir()
    assert clipper("stop").stderr == f"There is no cluster default-cluster to stop (home: {tmp_path})\n"
    assert answered("stop") == {"cluster": "default-cluster", "running": False}
    assert manager.calls == []


@pytest.mark.parametrize("command", [["apps"], ["models"], ["status"], ["predict", "a", "[1]"], ["undeploy", "m"]])
def test_a_cluster_that_does_not_run_is_one_block_on_standard_error(clipper, manager, tmp_path, command):
    manager.fails["connect"] = "Call ClipperConnection.start_clipper() to start it"
    result = clipper(*command, "--cluster", "my-own", exit_code=1)
    assert result.stdout == ""
    assert result.stderr == (
        f"Error: Cluster my-own is not running (home: {tmp_path}; clusters running there: none): "
        "`clipper start --cluster my-own` starts it\n"
    )


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
    assert row == row.rstrip()
    assert header.split() == [
        "APPLICATION",
        "INPUT",
        "TYPE",
        "SLO",
        "(us)",
        "DEFAULT",
        "OUTPUT",
        "POLICY",
        "LINKED",
        "MODELS",
    ]
    assert row.split() == ["hello-world", "doubles", "100000", "-1.0", "single"]


def test_a_function_is_deployed_from_the_current_directory(answered, clipper, manager, tmp_path):
    (tmp_path / "sums_cli.py").write_text("def feature_sum(xs):\n    return [str(sum(x)) for x in xs]\n")
    clipper("register", "a", "--input-type", "doubles", "--default-output", "0")
    options = ["--name", "sum", "--version", "2", "--input-type", "doubles", "--replicas", "3", "--batch-size", "4"]
    options += ["--batching", "quantile", "--batch-delay-micros", "70"]
    result = clipper(
        "deploy", "sums_cli:feature_sum", *options, "--link", "a", "--pkg", "x", "--pkg", "y", "--label", "l"
    )
    assert "Carrying local modules: sums_cli\n" in result.stderr
    assert ("build_image", "sum", "2", "default", None, ["x", "y"]) in manager.calls
    assert manager.replicas == {("sum", "2"): 3}
    assert answered("apps")[0]["linked_models"] == ["sum"]
    model = answered("models")[0]
    assert (model["batch_size"], model["labels"], model["replicas"], model["connected_replicas"]) == (4, ["l"], 3, 1)
    assert (model["batching"], model["batch_delay_micros"]) == ("quantile", 70)
    assert clipper("models").stdout.splitlines()[1].split() == ["sum", "2", "(current)", "doubles", "1/3", "l"]
    clipper("unlink", "a", "sum")
    assert answered("apps")[0]["linked_models"] == []


@pytest.mark.parametrize(
    ("link", "error"),
    [
        (
            "shadowed",
            "Model 'sum' is a shadow of application 'shadowed': deploy without --link, and then `",
        ),
        (
            "nothing",
            "Error: There is no application 'nothing': `clipper register` makes one. Registered: texts, taken, shad",
        ),
        ("texts", "Application 'texts' takes strings, not doubles"),
        ("taken", "Application 'taken' is linked to model 'other': `clipper unlink taken other` first"),
    ],
)
def test_a_link_that_could_not_be_made_is_refused_before_the_deploy(
    clipper, connection, manager, server, tmp_path, link, error
):
    connection.register_application("texts", "strings", "0", 1000)
    for name in ("taken", "shadowed"):
        connection.register_application(name, "doubles", "0", 1000)
    server.registry.apps["shadowed"]["shadow_models"] = ["sum"]
    connection.register_model("other", 1, "doubles")
    connection.link_model_to_app("taken", "other")
    (tmp_path / "sums_cli.py").write_text("def feature_sum(xs):\n    return xs\n")
    options = ["--name", "sum", "--input-type", "d", "--link", link]
    stderr = clipper("deploy", "sums_cli:feature_sum", *options, exit_code=1).stderr
    assert error in stderr
    assert stderr.count("Error: ") == 1
    assert manager.replicas == {}


def test_a_model_is_linked_to_an_ensemble_beside_another(clipper, connection, tmp_path):
    clipper("register", "many", "--input-type", "doubles", "--default-output", "0", "--policy", "majority_vote")
    connection.register_model("other", 1, "doubles")
    connection.link_model_to_app("many", "other")
    (tmp_path / "sums_cli.py").write_text("def feature_sum(xs):\n    return xs\n")
    for version in ("1", "2"):
        options = ["--name", "sum", "--version", version, "--input-type", "doubles", "--link", "many"]
        clipper("deploy", "sums_cli:feature_sum", *options)
        assert connection.get_linked_models("many") == ["other", "sum"]


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
def test_batching(answered, clipper, server):
    shown = {"model_name": "m", "model_version": "3", "batch_size": -1, "batching": "aimd", "batch_delay_micros": 0}
    assert answered("batching", "m") == shown
    assert "/admin/set_batching" not in dict(server.registry.requests)
    changed = {"batch_size": 4, "batching": "quantile", "batch_delay_micros": -1}
    assert answered("batching", "m:2", "--size", "4", "--learn", "quantile", "--delay", "-1") == {
        **shown,
        **changed,
        "model_version": "2",
    }
    assert answered("batching", "m") == shown
    assert answered("batching", "m", "--delay", "0")["batch_delay_micros"] == 0
    header, row = clipper("batching", "m:2").stdout.splitlines()[:2]
    assert header.split() == ["MODEL", "VERSION", "SIZE", "LEARNED", "BY", "DELAY", "(us)"]
    assert row.split() == ["m", "2", "4", "quantile", "-1"]
    assert "There is no model m:9: `clipper models` lists them" in clipper("batching", "m:9", exit_code=1).stderr
    assert "No versions of model x registered" in clipper("batching", "x", exit_code=1).stderr
    assert "The batch size must be positive" in clipper("batching", "m", "--size", "0", exit_code=1).stderr
    assert "'m:' has no version after ':'" in clipper("batching", "m:", "--size", "4", exit_code=1).stderr
    clipper("batching", "m", "--learn", "fixed", exit_code=2)


@pytest.mark.usefixtures("versions")
def test_undeploy(answered, clipper, manager, connection):
    assert answered("undeploy", "m", "2") == {"model_name": "m", "stopped": ["2"]}
    assert connection.get_all_models() == ["m:1", "m:3"]
    assert clipper("undeploy", "m").stdout == "Stopped m:1, m:3\n"
    assert (connection.get_all_models(), manager.replicas) == ([], {})
    assert "does not exist, nothing was stopped" in clipper("undeploy", "m", "2", exit_code=1).stderr
    assert "There is no model 'm': `clipper models` lists them" in clipper("undeploy", "m", exit_code=1).stderr


@pytest.mark.parametrize("version", [[], ["2"]])
def test_undeploy_finds_what_a_killed_deploy_has_left(answered, manager, version):
    manager.replicas["slow", "2"] = 1
    assert answered("undeploy", "slow", *version)["stopped"] == ["2"]
    assert manager.replicas == {}


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_following_logs_is_ended_by_a_signal(clipper, monkeypatch, tmp_path, number, exit_code):
    (tmp_path / "query-frontend-0.log").write_text("one\n")
    monkeypatch.setattr("clipper_admin.log_lines.time.sleep", lambda _: signal.raise_signal(number))
    assert clipper("logs", "-f", "query-frontend-0", exit_code=exit_code).stdout == "one\n"


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_exit_codes_of_signals(clipper, manager, monkeypatch, number, exit_code):
    monkeypatch.setattr(manager, "start_clipper", lambda *_: signal.raise_signal(number))
    clipper("start", exit_code=exit_code)


def test_sigterm_cleans_up_like_ctrl_c(clipper, manager, monkeypatch, tmp_path):
    """A second one, which ``timeout`` and others send, does not cut the cleaning up short."""
    (tmp_path / "sums_cli.py").write_text("def feature_sum(xs):\n    return xs\n")
    handler = signal.getsignal(signal.SIGTERM)
    stopped = manager.stop_models
    monkeypatch.setattr(manager, "deploy_model", lambda *_: signal.raise_signal(signal.SIGTERM))
    monkeypatch.setattr(manager, "stop_models", lambda m: (signal.raise_signal(signal.SIGTERM), stopped(m)))
    clipper("deploy", "sums_cli:feature_sum", "--name", "sum", "--input-type", "d", exit_code=143)
    assert manager.calls[-1] == ("stop_models", {"sum": ["1"]})
    assert not any(os.path.exists(path) for path in manager.seen)
    assert signal.getsignal(signal.SIGTERM) == handler


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


def test_logs(answered, clipper, tmp_path):
    (tmp_path / "query-frontend-0.log").write_text("one\ntwo\nthree\n")
    assert clipper("logs", "query-frontend-0", "-n", "2").stdout == "two\nthree\n"
    assert clipper("logs", "-n", "1").stdout == "query-frontend-0 | three\n"
    assert answered("logs", "-n", "1") == {"program": "query-frontend-0", "line": "three"}
    (tmp_path / "management-frontend.log").write_text("four\n")
    lines = clipper("logs", "-n", "1", "-o", "json").stdout.splitlines()
    assert [json.loads(each)["line"] for each in lines] == ["four", "three"]
    assert "one JSON object a line" in " ".join(clipper("logs", "--help").stdout.split())


def test_every_line_of_an_event_names_its_program(clipper, tmp_path):
    told = {"time": "T", "level": "error", "logger": "x", "message": "it failed\nbadly", "traceback": "Trace\n  y"}
    (tmp_path / "query-frontend-0.log").write_text(f"before\n{json.dumps(told)}\n")
    shown = ["T ERROR   x: it failed", "    badly", "    Trace", "      y"]
    assert clipper("logs", "-n", "1").stdout.splitlines() == [f"query-frontend-0 | {line}" for line in shown]
    assert clipper("logs", "query-frontend-0", "-n", "1").stdout.splitlines() == shown


def test_doctor_reports_problems_with_what_to_do(clipper, answered, monkeypatch):
    from clipper_admin.doctor import Finding

    findings = [Finding("python", True, "fine"), Finding("disk", False, "full", "free some space")]
    monkeypatch.setattr("clipper_admin.doctor.examine", lambda manager, ports: findings)
    assert [each["ok"] for each in answered("doctor", exit_code=1)] == [True, False]
    result = clipper("doctor", exit_code=1)
    assert "PROBLEM  disk    full" in result.stdout
    assert result.stderr == "Error: 1 to see to:\n  disk: free some space\n"


def test_doctor_looks_at_the_ports_that_start_would_take(clipper, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("clipper_admin.doctor.examine", lambda manager, ports: asked.append(ports) or [])
    clipper("doctor")
    folder = ClusterFolder(tmp_path / "clusters" / "default-cluster")
    folder.write(Cluster("127.0.0.1", 14337, 14338, 17000, 1, ""))
    monkeypatch.setenv("CLIPPER_MANAGEMENT_PORT", "24338")
    clipper("doctor", "--rpc-port", "0")
    assert asked == [
        {"query": 1337, "management": 1338, "rpc": 7000},
        {"query": 14337, "management": 24338, "rpc": 0},
    ]


@pytest.mark.parametrize("kind", ["local", "docker"])
@pytest.mark.parametrize(("option", "port"), [("query", "99999"), ("rpc", "-5")])
def test_doctor_takes_no_port_that_start_would_not(clipper, kind, option, port):
    said = clipper("doctor", "--manager", kind, f"--{option}-port", port, exit_code=1).stderr
    assert said.startswith(f"Error: clipper_{option}_port: {port} is not a TCP port; take one from 1 to 65535")


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


def test_a_reader_that_has_seen_enough_is_no_failure(tmp_path):
    """As with ``clipper doctor | head -1``, without the luck of who is first."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "clipper_admin.cli", "stop", "-o", "json", "--home", str(tmp_path)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, f"There is no cluster default-cluster to stop (home: {tmp_path})\n")


def test_a_bug_is_not_hidden(clipper, monkeypatch):
    def bug(self, **fields):
        raise ZeroDivisionError

    monkeypatch.setattr("clipper_admin.connection.ClipperConnection.get_all_apps", bug)
    with pytest.raises(ZeroDivisionError):
        clipper("apps")


def test_errors_of_the_manager_are_plain(clipper, manager):
    manager.fails["stop_all"] = "[red]not markup[/red]"
    assert clipper("stop", exit_code=1).stderr == "Error: [red]not markup[/red]\n"


@pytest.mark.parametrize(
    ("args", "cluster"),
    [
        (["--cluster", "before", "start"], "before"),
        (["--cluster", "before", "start", "--cluster", "after"], "after"),
        (["start"], "of-the-environment"),
    ],
)
def test_what_every_command_takes_can_stand_before_it(clipper, monkeypatch, manager, args, cluster):
    monkeypatch.setenv("CLIPPER_CLUSTER", "of-the-environment")
    assert json.loads(clipper("-o", "json", *args).stdout)["cluster"] == cluster
    assert clipper("--cluster", "before", exit_code=2).stdout == ""
