"""Regret of each bandit on arms that stay, drift and fail: beside its bound, and beside river's."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.figures.tables import Cell, Result, Table
from benchmarks.selection import bandits
from benchmarks.selection.arms import ERRORS, PATIENCE, WORLDS, Numbers, bounds, least_regret
from benchmarks.selection.settings import Settings
from benchmarks.selection.trials import spread
from benchmarks.selection.workers import share_out

STEPS, QUICK_STEPS = 10_000, 2_000
DELAY_SHARE = 0.1
"""Feedback is as late as this share of all steps: 1,000 of 10,000."""
SEEDS, QUICK_SEEDS = 10, 2
POINTS = 50
SHOWN = ("ucb1", "thompson", "exp3", "exp3_ix", "river UCB, 1", "river ThompsonSampling", "river Exp3, 0.05")

REMARKS = """
Five arms that are wrong {errors} of the time, {steps:,} pulls, {seeds} seeds. `stationary`: they stay as they are;
`drifting`: the first and the third change places and come back, along a sine; `failing`: the first is wrong nine
times out of ten from a quarter to a half of the time. Regret is the sum of the mean losses of the arms pulled, less
that of the best arm in hindsight, which is what the bounds are about; below 0 where a bandit that follows the change
does better than any one arm. "To the best": less that of the arm which is best at each time. "Late": the feedback to
a pull comes {delay:,} pulls later.

Bounds: UCB1 with its exploration of 1 (Auer, Cesa-Bianchi & Fischer 2002, theorem 1), of the expected regret, for
arms that stay; Exp3 (Bubeck & Cesa-Bianchi 2012, section 3.1), of the expected regret on any losses, with the rate it
has; Exp3-IX with `scale` 1 (Neu 2015, theorem 1), with a probability of {certain:.0%}, on any losses. The defaults of
`ucb1` and `exp3_ix` explore less than their theorems ask for; no bound is claimed of them, nor of `thompson` and
`epsilon_greedy`. None is for feedback that is late. In the long run no bandit that is good everywhere stays below
{least:.0f} on the stationary arms (Lai & Robbins 1985, the leading term).

river: with the parameters in the names. Its bandits are told a reward when it is known, by arm; Exp3 there divides it
by the probability of the latest pull, not of the pull that it belongs to, and is the reason to look at late feedback.
"""


@dataclass(frozen=True, slots=True)
class Trial:
    bandit: str
    world: str
    delay: int
    steps: int
    seed: int


@dataclass(frozen=True, slots=True)
class Curves:
    """By seed: regret to the best arm in hindsight, at ``POINTS`` times; that to the best each time, at the end."""

    hindsight: Numbers
    best: Numbers


def run_one(trial: Trial) -> tuple[Numbers, float]:
    """The regret over time, and that to the best arm of each time at the end."""
    means = WORLDS[trial.world](trial.steps)
    lost = np.random.default_rng((trial.seed, 7)).random(means.shape) < means
    bandit = bandits.make(trial.bandit, means.shape[1], trial.seed)
    waiting: deque[tuple[tuple[int, Any], float]] = deque()
    pulled = np.zeros(trial.steps, dtype=np.int64)
    for step, losses in enumerate(lost.astype(float).tolist()):
        pull = bandit.pull()
        pulled[step] = pull[0]
        waiting.append((pull, losses[pull[0]]))
        if len(waiting) > trial.delay:
            bandit.learn(*waiting.popleft())
    chosen = means[np.arange(trial.steps), pulled]
    fixed = means[:, means.sum(axis=0).argmin()]
    at = np.linspace(0, trial.steps - 1, POINTS).astype(int)
    return np.cumsum(chosen - fixed)[at], float((chosen - means.min(axis=1)).sum())


def measure(names: Sequence[str], steps: int, seeds: int) -> dict[tuple[str, str, int], Curves]:
    """By bandit, world and delay."""
    kinds = [(name, world, delay) for world in WORLDS for delay in (0, round(DELAY_SHARE * steps)) for name in names]
    trials = [Trial(*kind, steps, seed) for kind in kinds for seed in range(seeds)]
    found = share_out(run_one, trials)
    curves = {}
    for place, kind in enumerate(kinds):
        mine = found[place * seeds : (place + 1) * seeds]
        curves[kind] = Curves(np.stack([each for each, _ in mine]), np.array([best for _, best in mine]))
    return curves


def run(settings: Settings) -> list[Result]:
    steps, seeds = (QUICK_STEPS, QUICK_SEEDS) if settings.quick else (STEPS, SEEDS)
    found = measure(bandits.NAMES, steps, seeds)
    delay = round(DELAY_SHARE * steps)
    remarks = REMARKS.format(
        errors=" ".join(f"{error:.2f}" for error in ERRORS),
        steps=steps,
        seeds=seeds,
        delay=delay,
        certain=1 - PATIENCE,
        least=least_regret(ERRORS, steps),
    )
    tables = tuple(world_table(found, world, steps, delay) for world in WORLDS)
    return [Result("regret", "Regret", remarks, tables, _draw(found, steps))]


def world_table(found: dict[tuple[str, str, int], Curves], world: str, steps: int, delay: int) -> Table:
    """Regret at the end; a bound for arms that stay is not shown where they don't."""
    known = bounds(len(ERRORS), steps)
    rows: list[list[Cell]] = []
    for name in bandits.NAMES:
        bound = None if name.startswith("ucb1") and world != "stationary" else known.get(name)
        row: list[Cell] = [name]
        at_once, late = found[name, world, 0], found[name, world, delay]
        row += [_with_spread(at_once.hindsight[:, -1]), None if bound is None else f"{bound:.0f}"]
        row += [_with_spread(at_once.best), _with_spread(late.hindsight[:, -1]), _with_spread(late.best)]
        rows.append(row)
    head = ["bandit", "regret", "bound", "to the best", f"late by {delay:,}: regret", "to the best"]
    return Table(f"Arms: {world}", head, rows)


def _with_spread(values: Numbers) -> str:
    return f"{values.mean():.0f} ± {spread(values):.0f}"


def _draw(found: dict[tuple[str, str, int], Curves], steps: int) -> Any:
    def draw(axes: Any) -> None:
        at = np.linspace(0, steps - 1, POINTS)
        for name in SHOWN:
            style = "--" if name.startswith("river") else "-"
            axes.plot(at, found[name, "stationary", 0].hindsight.mean(axis=0), style, label=name)
        limits = bounds(len(ERRORS), steps)
        axes.axhline(limits["ucb1, exploration 1"], color="gray", linewidth=0.8, label="bound of UCB1")
        axes.axhline(least_regret(ERRORS, steps), color="gray", linestyle=":", label="Lai & Robbins")
        axes.set(xlabel="pull", ylabel="regret, stationary arms", ylim=(0, None))
        axes.legend(fontsize="small")

    return draw
