"""Fig. 3, batch size against latency of six model containers: ``python -m benchmarks.figures.fig3``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.figures import models, tables
from benchmarks.figures.tables import Result, Table
from clipper.container.batch import Model
from clipper.rpc.wire import FrameReader, InputType, encode_batch

SLO = 0.020
LARGEST = 4096
QUICK = ("No-Op", "Linear SVM", "Random forest")
PAPER = {
    "No-Op": (9.7, 393, 1335),
    "Logistic regression": (11.3, 896, 1455),
    "Linear SVM": (12.4, 558, 882),
    "Linear SVM, heavy batches": (23.6, 735, 683),
    "Random forest": (21.4, 7236, 511),
    "Kernel SVM": (4703, 2283, 4),
}

REMARKS = """
Batches of MNIST digits, 784 doubles each. Slope and intercept are a least-squares line through the median latencies
of the sizes, weighted so that each size counts alike; the largest batch is the largest measured whose P99 is within
20 ms, by the line between two sizes. The paper: Fig. 3, from the authors' raw results.

What differs: the paper's latencies are those seen by Clipper over the network of a 2016 Haswell server; ours are of
the container's whole work on one message (inputs as arrays, the model, outputs as JSON) in one process, without the
socket. Digits: 4,000 to learn from, not 60,000, so the kernel SVM has fewer support vectors; the forest has 50
trees. "Linear SVM, heavy batches" stands where the paper has PySpark's: the same SVM, but rows go through Python
objects first and each batch loses half a millisecond.
"""


@dataclass(frozen=True, slots=True)
class Curve:
    """Latencies in seconds by batch size."""

    sizes: list[int]
    medians: list[float]
    p99s: list[float]

    def line(self) -> tuple[float, float]:
        """Slope and intercept in seconds; weighted by 1 / latency, else the largest batches alone would decide."""
        slope, intercept = np.polyfit(self.sizes, self.medians, 1, w=1 / np.array(self.medians))
        return float(slope), float(intercept)

    def largest_within(self, seconds: float) -> int:
        """Interpolated between the sizes that were measured, by their P99; at least 1."""
        inside = [index for index, p99 in enumerate(self.p99s) if p99 <= seconds]
        if not inside:
            return 1
        last = inside[-1]
        if last + 1 == len(self.sizes):
            return self.sizes[last]
        return int(np.interp(seconds, self.p99s[last : last + 2], self.sizes[last : last + 2]))


def batch_seconds(model: Model, inputs: list[bytes], repeats: int) -> list[float]:
    """How long the container works on the same batch, each time from a fresh message."""
    message, taken = encode_batch(1, inputs, 1_000_000), []
    for _ in range(repeats):
        (frame,) = FrameReader().feed(message)
        began = time.perf_counter()
        model.answer(frame)
        taken.append(time.perf_counter() - began)
    return taken


def measure(predict: models.Predict, budget: float) -> Curve:
    """Sizes of a geometric series until one takes twice the objective; each gets an equal share of ``budget`` s."""
    model = Model(predict, InputType.DOUBLES)
    rows = [row.tobytes() for row in models.digits().test]
    batch_seconds(model, rows[:1], 3)
    curve = Curve([], [], [])
    for size in _sizes():
        inputs = [rows[number % len(rows)] for number in range(size)]
        first = min(batch_seconds(model, inputs, 2))
        taken = batch_seconds(model, inputs, int(np.clip(budget / 16 / first, 5, 200)))
        curve.sizes.append(size)
        curve.medians.append(float(np.median(taken)))
        curve.p99s.append(float(np.percentile(taken, 99)))
        if first > 2 * SLO:
            break
    return curve


def _sizes() -> Iterator[int]:
    size = 1.0
    while size <= LARGEST:
        yield int(size)
        size = max(size + 1, size * 1.7)


def run(quick: bool) -> Result:
    names = QUICK if quick else list(models.SIX)
    curves = {name: measure(models.SIX[name](), 0.2 if quick else 2.0) for name in names}
    rows = [[name, *_row(curve, PAPER[name])] for name, curve in curves.items()]
    head = ["container", "slope µs", "paper", "intercept µs", "paper", "largest batch in 20 ms", "paper"]
    largest = [curve.largest_within(SLO) for curve in curves.values()]
    rows.append(["largest over smallest", None, None, None, None, max(largest) / min(largest), "241"])
    return Result(
        "fig3", "Fig. 3: latency by batch size", REMARKS, (Table("Six containers", head, rows),), _draw(curves)
    )


def _row(curve: Curve, paper: tuple[float, float, int]) -> list[float]:
    slope, intercept = curve.line()
    return [slope * 1e6, paper[0], intercept * 1e6, paper[1], curve.largest_within(SLO), paper[2]]


def _draw(curves: dict[str, Curve]) -> Any:
    def draw(axes: Any) -> None:
        for name, curve in curves.items():
            axes.plot(curve.sizes, np.array(curve.p99s) * 1e3, marker=".", label=name)
        axes.axhline(SLO * 1e3, color="gray", linestyle="--")
        axes.set(xscale="log", yscale="log", xlabel="queries in a batch", ylabel="P99 of a batch's latency, ms")
        axes.legend()

    return draw


if __name__ == "__main__":
    tables.main(run, __doc__)
