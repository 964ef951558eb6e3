import json
import os
import subprocess
import sys

import pytest

from clipper_admin import quickstart
from clipper_admin.exceptions import ClipperException


@pytest.fixture
def made(manager, monkeypatch):
    """The arguments of every manager that the quickstart makes; all are ``manager``."""
    made = []
    monkeypatch.setattr(
        quickstart, "LocalContainerManager", lambda *args, **kw: (made.append((*args, kw)), manager)[1]
    )
    monkeypatch.setattr(quickstart, "is_free", lambda port: True)
    return made


def answer(**changes):
    return 200, {"query_id": 0, "output": 6.6, "default": False, **changes}


def test_every_step_is_taken_and_said(made, manager, server):
    server.registry.failures["/hello-world/predict"] = answer()
    said = []
    assert quickstart.run(None, said.append) == answer()[1]
    assert made[0] == ("quickstart", 1337, 1338, 7000, {"home": None})
    assert [call[0] for call in manager.calls if call[0] != "connect"] == [
        "stop_all",  # what an earlier one left: this manager says there is one
        "start_clipper",
        "build_image",
        "deploy_model",
        "stop_all",
    ]
    assert ("/hello-world/predict", {"input": [1.1, 2.2, 3.3]}) in server.registry.requests
    text = "\n".join(said)
    for line in (">>> clipper_conn.start_clipper()", "['hello-world']", "$ curl ", '"output": 6.6', "stop_all()"):
        assert line in text


def test_free_ports_if_one_is_taken(made, server, monkeypatch):
    monkeypatch.setattr(quickstart, "is_free", lambda port: port != 1338)
    server.registry.failures["/hello-world/predict"] = answer()
    quickstart.run(None, lambda text: None)
    assert made[0][1:4] == (0, 0, 0)


def test_a_default_output_is_asked_again_until_the_news_must_have_spread(made, server, monkeypatch):
    server.registry.failures["/hello-world/predict"] = answer(output=-1.0, default=True)
    good = answer()
    monkeypatch.setattr(
        quickstart.time, "sleep", lambda _: server.registry.failures.update({"/hello-world/predict": good})
    )
    assert quickstart.run(None, lambda text: None)["default"] is False


def test_a_last_step_that_is_cut_short_is_taken_again(made, manager, server, monkeypatch):
    server.registry.failures["/hello-world/predict"] = answer()
    stops = []

    def stop_all(graceful=True, keep_state=False):
        stops.append(graceful)
        if len(stops) == 2:  # after that of an earlier quickstart
            raise KeyboardInterrupt

    monkeypatch.setattr(manager, "stop_all", stop_all)
    with pytest.raises(KeyboardInterrupt):
        quickstart.run(None, lambda text: None)
    assert stops == [False, True, False]


def test_a_failure_midway_stops_the_cluster(made, manager):
    manager.fails["deploy_model"] = "no"
    with pytest.raises(ClipperException, match="no"):
        quickstart.run(None, lambda text: None)
    assert manager.calls[-1] == ("stop_all", False, False)


@pytest.mark.cluster
def test_sigterm_leaves_nothing_running(tmp_path):
    command = [sys.executable, "-m", "clipper_admin.cli", "quickstart", "--home", str(tmp_path)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLIPPER_")}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert any("def feature_sum" in line for line in process.stdout)  # is about to be deployed
        process.terminate()
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert "Stopping what was started" in output
    assert "Traceback" not in errors
    assert list((tmp_path / "clusters").glob("*/cluster.json")) == []


@pytest.mark.heavy
@pytest.mark.cluster
def test_the_quickstart_for_real(tmp_path):
    command = [sys.executable, "-m", "clipper_admin.cli", "quickstart", "--home", str(tmp_path), "-o", "json"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLIPPER_")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["output"], answer["default"]) == (6.6, False)
    assert list((tmp_path / "clusters").glob("*/cluster.json")) == []
