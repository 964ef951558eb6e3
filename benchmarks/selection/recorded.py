"""Five models as what they said of images with known labels: CIFAR-10 if its file is there, and MNIST always."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import BernoulliNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from benchmarks.figures import models

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "cifar10_ensemble.npz"
"""Where the outputs of the CIFAR-10 models are looked for, unless ``--data`` or the environment names a file."""
VARIABLE = "CLIPPER_CIFAR10_ENSEMBLE"

LEARNED_FROM = 1_200
"""Of the 5,000 digits; what the models say of the others is recorded."""
SIDE = 28

Labels = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What each of ``models`` says of each image.

    ``softmax`` is by image, model and label; ``outputs``, the label that a model answers, by image and model.
    """

    name: str
    title: str
    models: tuple[str, ...]
    softmax: Numbers
    outputs: Labels
    labels: Labels

    def errors(self) -> Numbers:
        """How often each model is wrong."""
        return (self.outputs != self.labels[:, None]).mean(axis=0)

    def by_accuracy(self) -> list[int]:
        """The models' places, the best one's last."""
        return [int(place) for place in np.argsort(-self.errors(), kind="stable")]

    def best(self) -> int:
        return self.by_accuracy()[-1]


def data_file(named: Path | None) -> Path:
    """The file asked for, else the one that the environment names, else the usual one; it need not be there."""
    if named is not None and not named.exists():
        raise FileNotFoundError(f"--data names {named}, which is not there")
    return named or Path(os.environ.get(VARIABLE, DATA))


def all_of(named: Path | None) -> list[Recorded]:
    file = data_file(named)
    return [*([cifar(file)] if file.exists() else []), mnist()]


def what_is_missing(named: Path | None) -> str:
    """Words for the results, if there is nothing to say of CIFAR-10."""
    file = data_file(named)
    if file.exists():
        return ""
    return f"\n\nCIFAR-10 is missing: there is no file {file.name}. It is named by `--data` or by `{VARIABLE}`."


@functools.cache
def cifar(file: Path) -> Recorded:
    """The five CIFAR-10 models of the paper's authors: their softmax outputs of the 10,000 test images."""
    with np.load(file) as kept:
        softmax, labels = kept["softmax"].astype(np.float64), kept["label"].astype(np.int64)
    names = tuple(f"m{number}" for number in range(1, softmax.shape[1] + 1))
    return Recorded("cifar", "CIFAR-10, the authors' models", names, softmax, softmax.argmax(axis=2), labels)


@functools.cache
def mnist() -> Recorded:
    """Five models trained on few digits, made to differ: errors of .24, .34, .19, .46 and .09, as those of CIFAR."""
    images, labels = digits()
    small = pooled(images)
    makers: dict[str, tuple[Any, Numbers, int]] = {
        "naive-bayes": (BernoulliNB(binarize=0.5), images, 300),
        "nearest": (KNeighborsClassifier(3), small, 100),
        "logistic": (LogisticRegression(max_iter=300), small, 400),
        "tree": (DecisionTreeClassifier(max_depth=5, random_state=0), images, LEARNED_FROM),
        "extra-trees": (ExtraTreesClassifier(100, random_state=0), images, LEARNED_FROM),
    }
    said = []
    for model, seen, count in makers.values():
        model.fit(seen[:count], labels[:count])
        said.append(model.predict_proba(seen[LEARNED_FROM:]))
    softmax = np.stack(said, axis=1)
    return Recorded("mnist", "MNIST", tuple(makers), softmax, softmax.argmax(axis=2), labels[LEARNED_FROM:])


def digits() -> tuple[Numbers, Labels]:
    """All 5,000 in a fixed order that is mixed, pixels from 0 to 1."""
    data = models.digits()
    images = np.concatenate([data.train, data.test]) / 255
    return images, np.concatenate([data.train_labels, data.test_labels])


def pooled(images: Numbers, block: int = 4) -> Numbers:
    """Fewer pixels, each the mean of a block."""
    side = SIDE // block
    return images.reshape(-1, side, block, side, block).mean(axis=(2, 4)).reshape(len(images), side * side)


def names_of(recorded: Sequence[Recorded]) -> str:
    return ", ".join(each.title for each in recorded)
