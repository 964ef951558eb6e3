"""What came of a replay, for people and for programs."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import numpy as np
from rich.table import Table
from rich.text import Text

from clipper.replay.estimators import Estimate, doubly_robust, effective_size, ips, mean, snips
from clipper.replay.evaluation import Evaluation, Replay, Target

FEW: Final = 100
"""Below this effective sample size the normal intervals are not to be relied on."""

_FAR: Final = 4.0
"""Standard errors between the mean weight and 1 that are no accident."""

_HEAD: Final = ("POLICY", "MATCHED", "EFFECTIVE", "MAX WEIGHT", "IPS", "SNIPS", "DR", "EXACT")
_DIFFERENCE: Final = "DR - LOG"


def label_of(target: Target) -> str:
    """The policy as it was asked for."""
    return f"{target.name} {json.dumps(target.params, ensure_ascii=False)}" if target.params else target.name


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """All figures, with None for those that there are not."""
    given = evaluation.settings
    return {
        "app": evaluation.app,
        "entries": len(evaluation.losses),
        "skipped": evaluation.skipped,
        "defaults": evaluation.defaults,
        "full_information": evaluation.full_information,
        "settings": {name: getattr(given, name) for name in given.__slots__},
        "logged": _figures(mean(evaluation.losses)),
        "policies": [_policy(evaluation, each) for each in evaluation.replays],
        "warnings": warnings(evaluation),
    }


def _policy(evaluation: Evaluation, replay: Replay) -> dict[str, Any]:
    terms, of_seeds = replay.terms, replay.of_seeds
    return {
        "policy": replay.target.name,
        "params": replay.target.params,
        "matched": replay.matched,
        "effective_sample_size": effective_size(terms.weights),
        "largest_weight": replay.largest_weight,
        "mean_weight": float(terms.weights.mean()),
        "ips": _figures(ips(terms)),
        "snips": _figures(snips(terms)),
        "dr": _figures(doubly_robust(terms)),
        "exact": ips(terms).value if evaluation.full_information else None,
        "dr_minus_logged": _figures(mean(terms.robust - evaluation.losses)),
        "dr_of_seeds": of_seeds,
    }


def _figures(estimate: Estimate) -> dict[str, float | None]:
    names = ("value", "error", "low", "high")
    return {name: number if math.isfinite(number := getattr(estimate, name)) else None for name in names}


def as_table(evaluation: Evaluation, compare: bool) -> Table:
    """A row for what was really answered, and one for each policy; ``compare`` adds their difference."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in (*_HEAD, *([_DIFFERENCE] if compare else [])):
        table.add_column(column, overflow="fold")
    entries = f"{len(evaluation.losses):,}"
    logged = f"{mean(evaluation.losses).value:.4f}"
    table.add_row("(as logged)", entries, entries, "1", "", "", "", logged, *([""] if compare else []))
    for replay in evaluation.replays:
        table.add_row(*(Text(cell) for cell in _row(evaluation, replay, compare)))
    return table


def _row(evaluation: Evaluation, replay: Replay, compare: bool) -> list[str]:
    terms = replay.terms
    row = [label_of(replay.target), f"{replay.matched:,.0f}", f"{effective_size(terms.weights):,.0f}"]
    row += [f"{replay.largest_weight:.3g}", *map(_interval, (ips(terms), snips(terms), doubly_robust(terms)))]
    row += [f"{ips(terms).value:.4f}" if evaluation.full_information else "-"]
    return row + ([_interval(mean(terms.robust - evaluation.losses), "+")] if compare else [])


def _interval(estimate: Estimate, sign: str = "") -> str:
    if math.isnan(estimate.error):
        return f"{estimate.value:{sign}.4f}"
    return f"{estimate.value:{sign}.4f} [{estimate.low:{sign}.4f}, {estimate.high:{sign}.4f}]"


def summary(evaluation: Evaluation) -> str:
    """What the table is of, in a line; and how far apart the seeds are."""
    given = evaluation.settings
    users = "a state for each user" if given.users else "one state for all users"
    lines = [
        f"{evaluation.app}: {len(evaluation.losses):,} feedbacks, mean loss ({given.loss}) with 95 % intervals; "
        f"{given.seeds} seed{'s' if given.seeds > 1 else ''}, {users}, delay {given.delay}"
    ]
    if given.seeds > 1:
        spans = ((label_of(each.target), each.of_seeds) for each in evaluation.replays)
        lines += [f"{name}: DR from {min(seeds):.4f} to {max(seeds):.4f} between seeds" for name, seeds in spans]
    return "\n".join(lines)


def warnings(evaluation: Evaluation) -> list[str]:
    """What is to be known before the figures are believed."""
    found = _of_log(evaluation)
    for replay in evaluation.replays:
        found += _of_replay(replay)
    return found


def _of_log(evaluation: Evaluation) -> list[str]:
    found = []
    if evaluation.skipped:
        found.append(f"{evaluation.skipped:,} lines are left out: no model was asked, or there is no label or loss")
    if evaluation.defaults:
        found.append(
            f"{evaluation.defaults:,} answers of the log were the default output: each counts as a loss of 1"
        )
    if evaluation.joint:
        found.append(
            f"{evaluation.joint:,} lines have asked several models with propensities below 1: they are multiplied, "
            "which is right if the models were drawn independently"
        )
    return found


def _of_replay(replay: Replay) -> list[str]:
    name, weights = label_of(replay.target), replay.terms.weights
    found = []
    if (size := effective_size(weights)) < FEW:
        found.append(
            f"{name}: the log tells as much as {size:.0f} queries would; below {FEW} the intervals are not to be "
            "relied on. Replay a longer log, or one of a policy that selects more alike"
        )
    if len(replay.of_seeds) > 1 and _depends_on_chance(replay):
        found.append(
            f"{name}: the seeds differ by more than the intervals say (DR from {min(replay.of_seeds):.4f} to "
            f"{max(replay.of_seeds):.4f}): what it learns depends on chance. Replay more, and go by their range"
        )
    average = mean(weights)
    if abs(average.value - 1.0) > max(_FAR * average.error, 1e-6):
        found.append(
            f"{name}: the weights are {average.value:.3f} on average, where 1 is right: the log's policy can't "
            "select all that this one does, or the propensities are wrong. Do not go by IPS and DR"
        )
    return found


def _depends_on_chance(replay: Replay) -> bool:
    """Whether the mean over the seeds is less certain than the entries alone make it."""
    return mean(np.array(replay.of_seeds)).error > doubly_robust(replay.terms).error
