"""Digits as groups of users write them: each group's are spoilt in a way of its own, and a model knows each way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from sklearn.ensemble import ExtraTreesClassifier

from benchmarks.selection.recorded import SIDE, Labels, Numbers, digits, pooled

TRAINED_ON = 2_000
"""Of 5,000 digits; users ask for the others."""
TREES = 30
GENERAL = "general"

Spoil = Callable[[Numbers, np.random.Generator], Numbers]
"""Images of 28 x 28 pixels from 0 to 1."""


def _rotated(degrees: float) -> Spoil:
    return lambda images, rng: ndimage.rotate(images, degrees, axes=(1, 2), reshape=False, order=1)


def _noisy(images: Numbers, rng: np.random.Generator) -> Numbers:
    return np.clip(images + rng.normal(0.0, 0.4, images.shape), 0.0, 1.0)


def _inverted(images: Numbers, rng: np.random.Generator) -> Numbers:
    return 1.0 - images


def _mirrored(images: Numbers, rng: np.random.Generator) -> Numbers:
    return images[:, :, ::-1]


GROUPS: Mapping[str, Spoil] = {
    "upright": lambda images, rng: images,
    "rotated 45": _rotated(45),
    "rotated -45": _rotated(-45),
    "upside down": _rotated(180),
    "mirrored": _mirrored,
    "noisy": _noisy,
}


@dataclass(frozen=True, slots=True)
class Population:
    """What each model says of each digit as each group writes it: ``outputs`` is by group, digit and model.

    The models are the specialists, in the order of the groups, and the general model.
    """

    groups: tuple[str, ...]
    models: tuple[str, ...]
    outputs: Labels
    labels: Labels

    def error(self, group: int, model: int) -> float:
        return float((self.outputs[group, :, model] != self.labels).mean())

    def oracle(self) -> float:
        """The error if each user's specialist is always asked."""
        return float(np.mean([self.error(group, group) for group in range(len(self.groups))]))

    def general(self) -> float:
        return float(np.mean([self.error(group, len(self.groups)) for group in range(len(self.groups))]))


@functools.cache
def population() -> Population:
    """One specialist a group, and a general model that has learned from as many digits of all groups."""
    images, labels = digits()
    images = images.reshape(-1, SIDE, SIDE)
    rng = np.random.default_rng(0)
    written = [_features(spoil(images, rng)) for spoil in GROUPS.values()]
    train = [each[:TRAINED_ON] for each in written]
    dealt = rng.integers(0, len(GROUPS), TRAINED_ON)
    mixed = np.stack(train)[dealt, np.arange(TRAINED_ON)]
    fitted = [
        ExtraTreesClassifier(TREES, random_state=place).fit(seen, labels[:TRAINED_ON])
        for place, seen in enumerate([*train, mixed])
    ]
    outputs = [np.stack([model.predict(each[TRAINED_ON:]) for model in fitted], axis=1) for each in written]
    names = tuple(GROUPS)
    return Population(names, (*names, GENERAL), np.stack(outputs), labels[TRAINED_ON:])


def _features(images: Numbers) -> Numbers:
    return pooled(images.reshape(len(images), -1), 2)
