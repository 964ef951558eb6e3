"""docs/policies.md tells of the policies that there are, and its example works."""

import inspect
import re
import subprocess
import sys

import pytest

from clipper.errors import BadRequest
from clipper.selection import cascade, epsilon_greedy, exp3, exp3_ix, exp4, hedge, linucb, split, thompson, ucb1
from clipper.selection.policies import ENSEMBLES, POLICY_NAMES
from tests.clipper.selection.worlds import policy_of, serve
from tests.documents import ROOT, blocks, read, section

PAGE = read("docs/policies.md")
CLASSES = {
    "split": split.Split,
    "epsilon_greedy": epsilon_greedy.EpsilonGreedy,
    "ucb1": ucb1.Ucb1,
    "thompson": thompson.Thompson,
    "exp3": exp3.Exp3,
    "exp3_ix": exp3_ix.Exp3Ix,
    "linucb": linucb.LinUcb,
    "exp4": exp4.Exp4,
    "hedge": hedge.Hedge,
    "cascade": cascade.Cascade,
}


def rows(title):
    """The cells of the first table of a section, without its head."""
    lines = [line for line in section(PAGE, title).splitlines() if line.startswith("|")]
    table = [[cell.strip().strip("`*") for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in table[2:] if len(row) == len(table[0])]


def test_every_policy_is_told_of():
    told = {name: (asks, feedback) for name, asks, _, feedback in rows("Which one")[: len(POLICY_NAMES)]}
    assert tuple(told) == POLICY_NAMES
    for name, (asks, feedback) in told.items():
        assert (asks == "one") is (name not in ENSEMBLES)
        assert feedback == ("learns" if policy_of(name).learns else "ignored")


def test_every_parameter_is_told_of_with_its_default():
    told = {(policy, param): default for policy, param, default, _, _ in rows("Parameters")}
    taken = {
        (name, each.name): each.default
        for name, cls in CLASSES.items()
        for each in inspect.signature(cls).parameters.values()
        if each.kind is each.KEYWORD_ONLY
    }
    assert set(told) - {("mean", "combine")} == set(taken)
    for key, default in taken.items():
        assert told[key] in (str(default), f'"{default}"', "equal shares")


@pytest.mark.parametrize("row", [each for each in rows("Parameters") if " to " in each[3]], ids=lambda each: each[1])
def test_the_ranges_are_those_that_are_checked(row):
    policy, param, _, given, _ = row
    low, high = map(float, given.split(" to "))
    kind = int if param == "dimensions" else float
    for value in (low, high):
        policy_of(policy, **{param: kind(value)})
    for value in (low - 1, high + 1):
        with pytest.raises(BadRequest, match=param):
            policy_of(policy, **{param: kind(value)})


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The example as ``mypkg.mine``."""
    (block,) = [each for each in blocks(section(PAGE, "A policy of your own")) if each.language == "python"]
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "mine.py").write_text(block.text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("mypkg.mine", "mypkg"):
        sys.modules.pop(name, None)


def test_the_example_learns(package):
    error, state = serve(policy_of("mypkg.mine:FewestWrong", explore=0.2), lambda number: (0.9, 0.1, 0.9), 2000)
    assert error < 0.35
    assert min(state, key=state.get) == "b"


def test_the_command_finds_nothing_in_the_example(package):
    (command,) = re.findall(r"^python (-m clipper.selection.conformance \S+) '(.*)'$", PAGE, re.MULTILINE)
    arguments = [*command[0].split(), command[1]]
    run = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{package}:{ROOT / 'src'}"},
    )
    assert (run.stdout, run.returncode) == ("mypkg.mine:FewestWrong: keeps the contract\n", 0), run.stderr
