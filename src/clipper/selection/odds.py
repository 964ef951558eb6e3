"""Drawing a model, and the weights of models: dicts by name, in the order of the links, that add up to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from clipper.selection.policy import Choice
from clipper.types import ModelVersion

Weights = Mapping[str, float]


def pick(models: Sequence[ModelVersion], odds: Sequence[float], draw: float) -> tuple[Choice]:
    """One of the models, drawn in proportion to their odds (one of which at least is positive)."""
    total = sum(odds)
    left = draw * total
    for place, each in enumerate(odds):
        left -= each
        if left < 0.0:
            return (Choice(models[place], each / total),)
    # Rounding has left the draw beyond the last of them.
    best = max(odds)
    return (Choice(models[odds.index(best)], best / total),)


def equal(models: Sequence[str]) -> dict[str, float]:
    """All models alike."""
    return {name: 1.0 / len(models) for name in models}


def normalised(weights: Weights) -> dict[str, float]:
    """The same proportions, adding up to 1; all alike if all are 0."""
    total = math.fsum(weights.values())
    return {name: weight / total for name, weight in weights.items()} if total > 0.0 else equal(list(weights))


def relinked(weights: Weights, models: Sequence[str]) -> dict[str, float]:
    """The weights of these models: a new one has the average of those that stay, one that left has gone."""
    kept = [weights[name] for name in models if name in weights]
    average = math.fsum(kept) / len(kept) if kept else 1.0
    return normalised({name: weights.get(name, average) for name in models})


def shrunk(weights: Weights, reach: float) -> dict[str, float]:
    """The weights brought nearer to each other until their logarithms are within ``reach``."""
    top, low = max(weights.values(), default=1.0), min(weights.values(), default=1.0)
    spread = math.log(top / low) if low > 0.0 else math.inf
    if spread <= reach:
        return dict(weights)
    power = reach / spread
    return normalised({name: (weight / top) ** power for name, weight in weights.items()})


def shared(weights: Weights, share: float) -> dict[str, float]:
    """A ``share`` of all weight handed out evenly: what each model has at least (Herbster & Warmuth 1998)."""
    gift = share / len(weights) if weights else 0.0
    kept = 1.0 - share
    return {name: kept * weight + gift for name, weight in weights.items()}


def best_of(scores: Sequence[float]) -> list[float]:
    """Odds that go to the highest score, evenly where several have it."""
    top = max(scores)
    return [1.0 if score == top else 0.0 for score in scores]


def of(weights: Weights, models: Sequence[ModelVersion]) -> list[float]:
    """The weights of these models; one that has none yet, the average."""
    try:
        return [weights[model.name] for model in models]
    except KeyError:
        average = 1.0 / len(weights) if weights else 1.0
        return [weights.get(model.name, average) for model in models]


def by_name(losses: Mapping[ModelVersion, float], names: Mapping[str, object]) -> dict[str, float]:
    """The loss of each of these models that one is known of; of two versions of one model, the mean."""
    found: dict[str, list[float]] = {}
    for model, loss in losses.items():
        if model.name in names:
            found.setdefault(model.name, []).append(loss)
    return {name: math.fsum(each) / len(each) for name, each in found.items()}


def punished(weights: Weights, losses: Mapping[str, float], eta: float) -> dict[str, float]:
    """The weights multiplied by ``exp(-eta * loss)``; those without a loss keep their part of all weight."""
    least = min(losses.values())
    changed = {name: weights[name] * math.exp(-eta * (loss - least)) for name, loss in losses.items()}
    before, after = math.fsum(weights[name] for name in losses), math.fsum(changed.values())
    # Were they all 0, there would be nothing to hand the weight out by.
    factor = before / after if after > 0.0 else 0.0
    return normalised({name: changed[name] * factor if name in changed else each for name, each in weights.items()})
