"""The comparison, with the servers that need no installation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks import run
from benchmarks.peers import SYSTEMS
from benchmarks.run import Comparison, Plan

pytestmark = pytest.mark.heavy


@pytest.fixture(autouse=True)
def systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heavy system that runs, and one that does not."""
    heavy = replace(SYSTEMS["echo"], name="bentoml", light=False)
    broken = replace(SYSTEMS["echo"], name="ray_serve", light=False, program="benchmarks.nothing")
    monkeypatch.setitem(run.SYSTEMS, "bentoml", heavy)
    monkeypatch.setitem(run.SYSTEMS, "ray_serve", broken)
    monkeypatch.setitem(run.CONNECTIONS, "sum", (4,))


def test_systems_take_turns_and_what_cannot_run_is_noted_once() -> None:
    comparison = Comparison(Plan(["echo", "prototype", "bentoml", "ray_serve"], ["sum"], 0.2, 2))
    comparison.run()
    assert [(sample.round, sample.system, sample.connections) for sample in comparison.samples] == [
        (number, system, 4) for number in (1, 2) for system in ("echo", "prototype", "bentoml")
    ]
    assert all(sample.load.rate > 0 for sample in comparison.samples)
    (failure,) = comparison.failures
    assert (failure.workload, failure.system) == ("sum", "ray_serve")
    assert "No module named benchmarks.nothing" in failure.reason
    assert comparison.versions["echo"].keys() == {"clipper-serving", "uvloop"}
