"""How often each model was observed, and its losses added up: what is enough for policies that go by the mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from clipper.selection import odds
from clipper.types import ModelVersion

Counts = dict[str, list[float]]
"""``[observations, sum of their losses]`` by the name of the model, in the order of the links."""

REACH: Final = 20.0
"""Observations that everybody's count for, at most, where a user starts."""


def none_of(models: Sequence[str]) -> Counts:
    return {name: [0.0, 0.0] for name in models}


def relinked(counts: Counts, models: Sequence[str]) -> Counts:
    """Those of these models. A new one starts at the average loss, with one observation if there are any."""
    kept = [counts[name] for name in models if name in counts]
    seen, losses = math.fsum(each[0] for each in kept), math.fsum(each[1] for each in kept)
    start = [1.0, losses / seen] if seen >= 1.0 else [0.0, 0.0]
    return {name: counts.get(name, start) for name in models}


def capped(counts: Counts, most: float) -> Counts:
    """The same means of at most so many observations."""
    return {
        name: _scaled(seen, total, min(1.0, most / seen) if seen else 1.0) for name, (seen, total) in counts.items()
    }


def added(counts: Counts, losses: Mapping[ModelVersion, float], discount: float) -> Counts:
    """With these losses, of models that are counted; all that is older counts for ``discount`` as much."""
    known = odds.by_name(losses, counts)
    if not known:
        return counts
    older = counts
    if discount < 1.0:
        older = {name: _scaled(seen, total, discount) for name, (seen, total) in counts.items()}
    return older | {name: [older[name][0] + 1.0, older[name][1] + loss] for name, loss in known.items()}


def _scaled(seen: float, total: float, factor: float) -> list[float]:
    return [seen * factor, total * factor]


def rewards(counts: Counts) -> dict[str, float]:
    """Each model's mean reward, 1 - loss, with one observation of each kind beforehand."""
    return {name: (seen - total + 1.0) / (seen + 2.0) for name, (seen, total) in counts.items()}
