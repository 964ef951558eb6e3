"""``examples/digits.py``, run for real as its users run it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clipper_admin import LocalContainerManager

pytestmark = [pytest.mark.cluster, pytest.mark.heavy]

SCRIPT = Path(__file__).parents[2] / "examples" / "digits.py"
VERSIONS = ("logistic-regression", "linear-svm", "random-forest")


def start(home):
    return subprocess.Popen(
        [sys.executable, "-u", str(SCRIPT), "--home", str(home), "--free-ports"],
        env={name: value for name, value in os.environ.items() if not name.startswith("CLIPPER_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    """What it printed and logged; it must have ended by itself soon."""
    try:
        return process.communicate(timeout=100)
    finally:
        process.kill()


@pytest.fixture
def home(tmp_path):
    """Where no cluster is left running, even if the example should leave one."""
    yield tmp_path
    for name in clusters(tmp_path):
        LocalContainerManager(name, home=tmp_path).stop_all(graceful=False)


def clusters(home):
    return sorted(each.parent.name for each in home.glob("clusters/*/cluster.json"))


def test_served_accuracy_is_the_models_own_and_the_roll_back_shows_no_default(home):
    process = start(home)
    output, log = end(process)
    assert process.returncode == 0, log
    accuracies = re.findall(r"(\S+): accuracy (0\.9\d+) over REST, (0\.9\d+) of the model itself, 450 images", output)
    assert tuple(version for version, _, _ in accuracies) == VERSIONS
    assert all(served == own for _, served, own in accuracies)
    answers = re.search(r"Answers under load: random-forest (\d+), linear-svm (\d+), defaults 0\n", output)
    assert answers, output
    assert min(map(int, answers.groups())) >= 200
    assert clusters(home) == []


def test_a_run_that_is_ended_stops_its_cluster(home):
    process = start(home)
    for line in process.stderr:
        if "Clipper is running" in line:
            break
    assert len(clusters(home)) == 1
    process.send_signal(signal.SIGTERM)
    _, log = end(process)
    assert process.returncode == 143, log
    assert clusters(home) == []
