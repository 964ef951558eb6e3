"""The models and inputs that every system serves. Imported in each system's environment: nothing of Clipper here."""

from __future__ import annotations

import base64
import importlib
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environments import cache_folder, digest

Predict = Callable[[Any], Sequence[Any]]
"""A batch of inputs, as an array or a list, to one output each."""

MODEL_REQUIREMENTS = (
    "numpy==2.4.6",
    "scikit-learn==1.9.1",
    "torch==2.13.0",
    "onnx==1.23.2",
    "onnxruntime==1.32.0",
    "mlxtend==0.25.0",
)
TEN_DOUBLES = [0.1, 1.2, 2.3, 3.4, 4.5, 5.6, 6.7, 7.8, 8.9, 9.1]
IMAGE_BYTES = 224 * 224 * 3


def models_folder() -> Path:
    """Where ``benchmarks.digits`` leaves what it trained."""
    return cache_folder() / f"digits-{digest(MODEL_REQUIREMENTS)}"


def no_op(inputs: Any) -> list[int]:
    return [0] * len(inputs)


def sums(inputs: Any) -> list[float]:
    """The sum of each input; of Python floats, which are quicker to add up than those of numpy."""
    rows = inputs.tolist() if isinstance(inputs, np.ndarray) else inputs
    return [sum(row) for row in rows]


def timed(inputs: Any) -> list[int]:
    """Takes 2 ms and 0.2 ms for each input, without the processor."""
    time.sleep(0.002 + 0.0002 * len(inputs))
    return [0] * len(inputs)


def brightest(inputs: Any) -> list[int]:
    """The greatest byte of each image."""
    return [int(np.max(image)) for image in inputs]


def plain(predict: Predict) -> Callable[[], Predict]:
    return lambda: predict


def trained(name: str) -> Callable[[], Predict]:
    """A model of ``benchmarks.digits``, whose libraries only the environments with models have."""
    return lambda: importlib.import_module("benchmarks.digits").load(name, models_folder())


def doubles(count: int) -> Callable[[], list[float]]:
    """Doubles of full precision, 17 digits or so in JSON; the same ones always."""

    def sample() -> list[float]:
        numbers = random.Random(0)
        return [numbers.random() for _ in range(count)]

    return sample


def digit() -> list[float]:
    """A handwritten digit, 28 x 28 gray values from 0 to 1."""
    return list(json.loads((models_folder() / "digit.json").read_text()))


def image() -> str:
    return base64.b64encode(random.Random(0).randbytes(IMAGE_BYTES)).decode()


@dataclass(frozen=True, slots=True)
class Workload:
    """A model and the one input it is asked.

    ``load`` makes the model, ``sample`` the input as JSON has it. ``slo_micros`` is what Clipper is told: enough for
    64 at once, so that it is throughput that is compared; the others know no such thing.
    """

    name: str
    load: Callable[[], Predict]
    sample: Callable[[], Any]
    input_type: str = "doubles"
    requirements: tuple[str, ...] = ()
    slo_micros: int = 100_000

    def decode(self, value: Any) -> Any:
        """An input out of JSON, as the model takes it."""
        return np.frombuffer(base64.b64decode(value), np.uint8) if self.input_type == "bytes" else value

    def is_right(self, output: Any, expected: Any) -> bool:
        return isinstance(output, int | float) and abs(output - expected) < 1e-6


MODELS = ("linear-svm", "logistic-regression", "random-forest", "kernel-svm", "conv-net", "onnx")
WORKLOADS = {
    each.name: each
    for each in (
        Workload("sum", plain(sums), lambda: TEN_DOUBLES),
        Workload("no-op", plain(no_op), lambda: TEN_DOUBLES),
        Workload("timed", plain(timed), lambda: TEN_DOUBLES),
        Workload("no-op-784", plain(no_op), doubles(784)),
        Workload("no-op-3072", plain(no_op), doubles(3072)),
        Workload("image", plain(brightest), image, "bytes", slo_micros=1_000_000),
        *(
            Workload(name, trained(name), digit, requirements=MODEL_REQUIREMENTS, slo_micros=1_000_000)
            for name in MODELS
        ),
    )
}
