"""``clipper replay``, as a command of its own: it hands on what its child process says, and its exit code."""

import json
import subprocess
import sys

import pytest

from tests.clipper.replay.logs import of_all, of_one, write

ERRORS = {"a": 0.4, "b": 0.25, "c": 0.1}
COMMAND = """
import typer
from clipper_admin import cli_replay
app = typer.Typer(callback=lambda: None)
cli_replay.add_to(app)
app()
"""


def clipper(*arguments, **options):
    command = [sys.executable, "-c", COMMAND, "replay", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "log.jsonl", of_all(200, ERRORS))


def test_json_and_a_plot(path, tmp_path):
    picture = tmp_path / "error.svg"
    policies = ["--policy", "hedge", "--params", '{"eta": 0.5}', "--policy", "exp3"]
    done = clipper(path, *policies, "--seeds", "2", "--delay", "5", "--plot", str(picture), "--output", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [each["policy"] for each in found["policies"]] == ["hedge", "exp3"]
    assert found["policies"][0]["params"] == {"eta": 0.5}
    assert (found["settings"]["seeds"], found["settings"]["delay"], found["settings"]["users"]) == (2, 5, True)
    assert "<svg" in picture.read_text()


def test_the_table(path):
    done = clipper(path, "--policy", "hedge", "--no-users", "--with-shadows", "--compare")
    assert done.returncode == 0
    assert "one state for all users" in done.stdout
    assert "DR - LOG" in done.stdout


def test_from_standard_input(path):
    with open(path) as file:
        assert clipper("-", "--policy", "hedge", stdin=file).returncode == 0


def test_an_error_is_one_line(tmp_path):
    done = clipper(write(tmp_path / "one.jsonl", of_one(20, ERRORS)), "--policy", "hedge")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: hedge asks several models a query")
    assert done.stderr.count("\n") == 1


def test_a_log_that_looks_like_an_option():
    done = clipper("--policy", "hedge", "--", "--missing.jsonl")
    assert (done.returncode, done.stderr) == (1, "Error: --missing.jsonl can't be read: No such file or directory\n")


@pytest.mark.parametrize("arguments", [["log"], ["log", "--policy", "hedge", "--seeds", "0"], ["log", "--what"]])
def test_what_is_not_understood_exits_with_2(arguments):
    assert clipper(*arguments).returncode == 2


def test_the_command_explains_itself():
    text = clipper("--help").stdout
    assert "LOG" in text
    assert "Examples:" in text
    assert "--policy" in text
