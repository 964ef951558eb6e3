"""Made-up models, the arms of a bandit: how often each is wrong over time, and what regret theory allows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

ERRORS = (0.10, 0.18, 0.25, 0.36, 0.46)
"""Those of the five CIFAR-10 models, about."""
PATIENCE = 0.05
"""What may go wrong with a bound that holds with high probability."""


def stationary(steps: int) -> Numbers:
    """The mean loss of each arm, by step."""
    return np.tile(ERRORS, (steps, 1))


def drifting(steps: int) -> Numbers:
    """The best and the third change places and come back, along a sine."""
    losses = stationary(steps)
    share = (1 - np.cos(np.linspace(0, 2 * np.pi, steps))) / 2
    best, third = ERRORS[0], ERRORS[2]
    losses[:, 0] = best + (third - best) * share
    losses[:, 2] = third + (best - third) * share
    return losses


def failing(steps: int) -> Numbers:
    """The best arm is wrong nine times out of ten from a quarter to a half of the time."""
    losses = stationary(steps)
    losses[steps // 4 : steps // 2, 0] = 0.9
    return losses


WORLDS = {"stationary": stationary, "drifting": drifting, "failing": failing}


def ucb1_bound(errors: tuple[float, ...], steps: int) -> float:
    """Auer, Cesa-Bianchi & Fischer 2002, theorem 1: of the expected regret, where nothing changes."""
    gaps = [error - min(errors) for error in errors if error > min(errors)]
    return sum(8 * math.log(steps) / gap for gap in gaps) + (1 + math.pi**2 / 3) * sum(gaps)


def least_regret(errors: tuple[float, ...], steps: int) -> float:
    """Lai & Robbins 1985: what no policy that is good everywhere stays below for ever, where nothing changes."""
    best = min(errors)
    return sum((error - best) / _divergence(error, best) for error in errors if error > best) * math.log(steps)


def _divergence(one: float, other: float) -> float:
    """Of two Bernoulli distributions, Kullback and Leibler's."""
    return one * math.log(one / other) + (1 - one) * math.log((1 - one) / (1 - other))


def exp3_bound(arms: int, steps: int, eta: float, share: float) -> float:
    """Bubeck & Cesa-Bianchi 2012, section 3.1: against the best arm in hindsight, whatever the losses.

    For losses and any ``eta``: ``ln K / eta + eta K T / 2``; the shared weight adds ``T ln(1 / (1 - share)) / eta``.
    """
    return math.log(arms) / eta + eta * arms * steps / 2 - steps * math.log(1 - share) / eta


def exp3_ix_bound(arms: int, steps: int) -> float:
    """Neu 2015, theorem 1, anytime: with a probability of 95 %, whatever the losses (``scale`` 1)."""
    log = math.log(arms)
    certain = (2 * math.sqrt(arms * steps / log) + 1) * math.log(2 / PATIENCE)
    return 4 * math.sqrt(arms * steps * log) + certain


def bounds(arms: int, steps: int) -> Mapping[str, float]:
    """By the bandit that each is of."""
    return {
        "ucb1, exploration 1": ucb1_bound(ERRORS, steps),
        "exp3": exp3_bound(arms, steps, 0.05, 1e-5),
        "exp3, eta 0.008": exp3_bound(arms, steps, 0.008, 1e-5),
        "exp3_ix, scale 1": exp3_ix_bound(arms, steps),
    }
