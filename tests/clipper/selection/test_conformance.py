import random
import re
import subprocess
import sys

import pytest

from clipper.selection.conformance import check_policy, main
from clipper.selection.policies import make_policy


class Base:
    """Asks the first model; each of the others below has one fault."""

    learns = True
    contextual = False

    def init(self, models):
        return {name: 0.0 for name in models}

    def relink(self, state, models):
        return {name: state.get(name, 0.0) for name in models}

    def prior(self, state):
        return state

    def select(self, state, context, models, rng):
        return [(models[0], 1.0)]

    def combine(self, state, context, outputs, missing):
        return next(((output, 1.0) for output in outputs.values()), None)

    def observe(self, state, context, decision, losses):
        known = {model.name: loss for model, loss in losses.items() if model.name in state}
        return state | {name: state[name] + loss for name, loss in known.items()}


class ChangesInPlace(Base):
    def observe(self, state, context, decision, losses):
        for name in state:
            state[name] += 1.0
        return state


class KeepsNothing(Base):
    def init(self, models):
        return {name: random.random() for name in models}


class Wanders(Base):
    def select(self, state, context, models, rng):
        self.calls = getattr(self, "calls", 0) + 1
        return [(models[self.calls % len(models)], 0.5)]


class Lies(Base):
    def select(self, state, context, models, rng):
        return [(models[int(context.draw * len(models))], 0.9)]


class Invents(Base):
    def combine(self, state, context, outputs, missing):
        return b"0", 1.0


class Hurries(Base):
    def select(self, state, context, models, rng):
        return [(model, 1.0) for model in models]

    def combine(self, state, context, outputs, missing):
        return (min(outputs.values()), 0.5, True, 0.5) if outputs else None


class Explodes(Base):
    def observe(self, state, context, decision, losses):
        return {name: value * 10.0 + 1.0 for name, value in state.items()}


class TakesUpAnything(Base):
    def observe(self, state, context, decision, losses):
        return state | {model.name: loss for model, loss in losses.items()}


class NeedsAllModels(Base):
    def observe(self, state, context, decision, losses):
        return state | {model.name: state[model.name] + loss for model, loss in losses.items()}


class Remembers(Base):
    def relink(self, state, models):
        return state | {name: 0.0 for name in models}


class Weighs(Base):
    def weights(self, state):
        return {name: 1.0 for name in state}


class Forgets(Base):
    learns = False


def found(cls):
    return check_policy(make_policy(f"{__name__}:{cls.__name__}", {}, "zero_one", 1.0, "doubles"))


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def test_nothing_is_found_in_what_keeps_the_contract():
    assert found(Base) == []


@pytest.mark.parametrize(
    ("cls", "told"),
    [
        (ChangesInPlace, "observe changes the state in place"),
        (KeepsNothing, "init gives another state each time"),
        (Wanders, "select gives something else for the same state, query and rng"),
        (Lies, "with a probability near 0.33 and gives 0.90"),
        (Invents, "combine gives an answer though no model has answered"),
        (Hurries, "combine says that the answer is settled, and gives another"),
        (Explodes, "numbers that are not finite"),
        (TakesUpAnything, "observe takes up a model that is not linked"),
        (NeedsAllModels, "strange feedback: observe of the selection policy .* raised KeyError: 'newcomer-7f3a'"),
        (Remembers, "relink leaves a trace"),
        (Weighs, "weights are not from 0 to 1, or do not add up to 1"),
        (Forgets, "observe changes the state though learns is False"),
    ],
)
def test_each_fault_is_found(cls, told):
    assert any(re.search(told, each) for each in found(cls)), found(cls)


def test_the_command(capsys):
    assert main(["hedge", '{"eta": 0.1}', "--loss", "squared"]) == 0
    assert capsys.readouterr().out == "hedge: keeps the contract\n"
    assert main([f"{__name__}:Lies"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{__name__}:Lies: {len(lines) - 1} found"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["best"], "Unknown selection policy 'best'"),
        (["hedge", "{"], "The parameters are not JSON"),
        (["hedge", "[]"], "The parameters are not a JSON object"),
        (["hedge", '{"eta": 0}'], "eta is 0"),
    ],
)
def test_the_command_says_what_is_wrong(capsys, arguments, told):
    assert main(arguments) == 1
    assert told in capsys.readouterr().out


def test_the_module_is_a_command():
    run = subprocess.run(
        [sys.executable, "-m", "clipper.selection.conformance", "no_such.mine:Policy"], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "there is no module no_such. It must be installed where the query frontends run" in run.stdout
    assert run.stderr == ""
