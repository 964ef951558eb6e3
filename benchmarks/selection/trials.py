"""Many runs of policies over streams with failures, and what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.selection import recorded as records
from benchmarks.selection.hindsight import least_loss
from benchmarks.selection.recorded import Recorded
from benchmarks.selection.stream import QUERIES, Rule, play, stream
from benchmarks.selection.workers import share_out

PARTS = 20
"""Equal parts of a run: 1,000 queries each of 20,000."""
SWITCHES = 2

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trial:
    """One run. ``file`` is where the CIFAR-10 outputs are; ``fails`` the places of the failing models."""

    data: str
    file: Path
    rule: Rule
    seed: int
    queries: int = QUERIES
    fails: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Errors:
    """``parts`` has a row for each seed: the error in each part of the run; ``asked``: models per query."""

    parts: Numbers
    asked: float

    def until(self, share: float) -> tuple[float, float]:
        """The mean error of this share of all queries, and its standard error over the seeds."""
        each = self.parts[:, : round(share * PARTS)].mean(axis=1)
        return float(each.mean()), spread(each)


def spread(values: Numbers) -> float:
    """The standard error of the mean; 0 of one value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def recorded(trial: Trial) -> Recorded:
    return records.cifar(trial.file) if trial.data == "cifar" else records.mnist()


def run(trial: Trial) -> tuple[Numbers, float]:
    """The error in each part, and the models asked per query."""
    data = recorded(trial)
    given = stream(data, trial.queries, trial.seed, trial.fails)
    played = play(trial.rule.make(), given, trial.seed, trial.rule.links(data))
    return in_parts(played.wrong), played.asked


def in_parts(wrong: npt.NDArray[np.bool_]) -> Numbers:
    return wrong.reshape(PARTS, -1).mean(axis=1)


def of_rules(
    data: Recorded, file: Path, seeds: Sequence[tuple[Rule, int]], queries: int, fails: tuple[int, ...]
) -> dict[str, Errors]:
    """The errors of each rule, over as many seeds as stand beside it."""
    trials = [Trial(data.name, file, rule, seed, queries, fails) for rule, count in seeds for seed in range(count)]
    found: dict[str, list[tuple[Numbers, float]]] = {}
    for trial, result in zip(trials, share_out(run, trials), strict=True):
        found.setdefault(str(trial.rule), []).append(result)
    return {
        name: Errors(np.stack([parts for parts, _ in each]), float(np.mean([asked for _, asked in each])))
        for name, each in found.items()
    }


def of_models(data: Recorded, seeds: int, queries: int, fails: tuple[int, ...]) -> list[Errors]:
    """The errors of each model, were it always asked."""
    wrong = [stream(data, queries, seed, fails).wrong() for seed in range(seeds)]
    return [Errors(np.stack([in_parts(each[:, place]) for each in wrong]), 1.0) for place in range(len(data.models))]


def beside_hindsight(trial: Trial) -> tuple[float, float]:
    """The error of a run, and that of the best sequence of models that switches twice."""
    data = recorded(trial)
    given = stream(data, trial.queries, trial.seed, trial.fails)
    played = play(trial.rule.make(), given, trial.seed, trial.rule.links(data))
    return float(played.wrong.mean()), least_loss(given.wrong(), SWITCHES) / len(given)
