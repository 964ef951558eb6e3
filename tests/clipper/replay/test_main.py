"""``python -m clipper.replay``: its options, its table, its JSON and its plot."""

import json
import re
import subprocess
import sys

import pytest

from clipper.replay import __main__ as command
from tests.clipper.replay.logs import line, of_all, of_one, write

ERRORS = {"a": 0.4, "b": 0.25, "c": 0.1}


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "log.jsonl", of_all(300, ERRORS))


@pytest.fixture
def replay(capfd):
    """Runs the command in this process: its exit code, standard output and standard error."""

    def run(*arguments):
        code = command.main(arguments)
        return (code, *capfd.readouterr())

    return run


def test_json(replay, path):
    code, out, err = replay(path, "--policy", "hedge", "--params", '{"eta": 0.5}', "--policy=exp3", "--output=json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["entries"] == 300
    assert found["logged"]["value"] == pytest.approx(0.4, abs=0.1)
    assert [(each["policy"], each["params"]) for each in found["policies"]] == [("hedge", {"eta": 0.5}), ("exp3", {})]
    hedge = found["policies"][0]
    assert hedge["exact"] == hedge["ips"]["value"] == pytest.approx(hedge["dr"]["value"])
    assert hedge["dr"]["low"] < hedge["dr"]["value"] < hedge["dr"]["high"]
    assert hedge["matched"] == hedge["effective_sample_size"] == 300
    assert hedge["largest_weight"] == hedge["mean_weight"] == 1
    assert hedge["dr_minus_logged"]["value"] == pytest.approx(hedge["exact"] - found["logged"]["value"])
    assert found["settings"]["loss"] == "zero_one"
    assert found["warnings"] == []


def test_json_has_no_nan(replay, tmp_path):
    path = write(tmp_path / "one.jsonl", [line(linked=["a"])])
    _, out, _ = replay(path, "--policy", "single", "--output", "json")
    assert json.loads(out)["policies"][0]["ips"] == {"value": 0.0, "error": None, "low": None, "high": None}
    assert "NaN" not in out


def test_the_table(replay, path):
    code, out, err = replay(path, "--policy", "hedge", "--policy", "single", "--compare")
    about, head, logged, hedge, single = out.splitlines()
    assert (code, err) == (0, "")
    assert about.startswith(
        "digits: 300 feedbacks, mean loss (zero_one) with 95 % intervals; 1 seed, a state for each"
    )
    titles = ["POLICY", "MATCHED", "EFFECTIVE", "MAX WEIGHT", "IPS", "SNIPS", "DR", "EXACT", "DR - LOG"]
    assert re.split("  +", head.strip()) == titles
    assert logged.startswith("(as logged)  300")
    assert hedge.split()[:4] == ["hedge", "300", "300", "1"]
    assert hedge.count("[") == 4
    assert single.rstrip().endswith("+0.0000 [+0.0000, +0.0000]")


def test_warnings_go_to_standard_error(replay, tmp_path):
    path = write(tmp_path / "one.jsonl", of_one(50, ERRORS))
    code, out, err = replay(path, "--policy", "split", "--seeds", "2")
    assert code == 0
    assert "split: DR from" in out
    assert err.startswith("Warning: split: the log tells as much as ")


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_the_plot(replay, path, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    picture = tmp_path / f"error.{suffix}"
    assert replay(path, "--policy", "hedge", "--policy", "exp3", "--plot", str(picture))[0] == 0
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--plot", "error.txt"], "error.txt: plots are files that end in .svg, .png, .pdf"),
        (["--plot", "/no/where/error.svg"], "/no/where/error.svg: there is no folder /no/where"),
        (["--params", "{}", "--params", "{}"], "There are 2 --params and 1 --policy: give each policy its own"),
        (
            ["--params", "eta"],
            "--params 'eta' is not JSON (Expecting value: line 1 column 1 (char 0)): write it like",
        ),
        (["--params", "[1]"], "--params '[1]' is no JSON object: write it like '{\"eta\": 0.2}'"),
        (
            ["--params", '{"eta": -1}'],
            "The selection policy 'hedge': eta is -1: it must be a number from 1e-06 to 10",
        ),
        (["--loss", "nonsense"], "There is no loss 'nonsense': it must be one of zero_one, absolute, squared"),
    ],
)
def test_what_can_not_be_done(replay, path, options, error):
    code, out, err = replay(path, "--policy", "hedge", *options)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {error}")
    assert err.count("\n") == 1


def test_a_plot_without_matplotlib(replay, path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    _, _, err = replay(path, "--policy", "hedge", "--plot", "error.svg")
    assert err == "Error: Plots take matplotlib, which is not installed: `pip install matplotlib`\n"


@pytest.mark.parametrize("options", [["--seeds", "0"], ["--delay", "-1"], ["--loss-scale", "nan"], ["--what"], []])
def test_what_is_not_understood_exits_with_2(path, options, capfd):
    with pytest.raises(SystemExit) as raised:
        command.main([path, *(["--policy", "hedge"] if options else []), *options])
    assert raised.value.code == 2
    assert "usage: clipper replay" in capfd.readouterr().err


def test_progress_is_told_of_long_replays(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(command.time, "monotonic", lambda: now[0])
    progress = command.Progress()
    for count in range(1, 2001):
        now[0] += 0.005
        progress(count)
    assert capsys.readouterr().err.splitlines() == ["Replayed 500 feedbacks", "Replayed 1,400 feedbacks"]


def test_from_a_pipe():
    lines = "".join(json.dumps(each) + "\n" for each in of_all(20, ERRORS))
    arguments = [sys.executable, "-m", "clipper.replay", "-", "--policy", "hedge", "--output", "json"]
    done = subprocess.run(arguments, input=lines, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["entries"] == 20


def test_a_reader_that_leaves(path):
    shell = f"{sys.executable} -m clipper.replay {path} --policy hedge | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
