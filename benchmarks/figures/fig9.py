"""Fig. 9, stragglers in ensembles of random forests: ``python -m benchmarks.figures.fig9``."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.figures import asking, cluster, models, tables
from benchmarks.figures.asking import Reply
from benchmarks.figures.tables import Cell, Result, Table
from clipper_admin import ClipperConnection

SLO_MICROS = 20_000
BLOCKING_MICROS = 10_000_000
"""An objective so far away that every query waits for all of its models."""

SIZES = (1, 2, 4, 8, 16)
RATE = 60.0
SECONDS = 3.0
SESSIONS = 2
"""Models deployed at a time."""
PAPER = {
    1: ("17.0 / 17.0", "9.7 / 17.7", 1.0, 0.787),
    2: ("17.0 / 17.0", "12.6 / 39.6", 2.7, 0.758),
    4: ("17.0 / 17.1", "19.4 / 129", 11.6, 0.858),
    8: ("17.1 / 17.5", "23.2 / 152", 14.7, 0.894),
    16: ("17.6 / 23.0", "65.6 / 154", 71.3, 0.914),
}

REMARKS = """
Ensembles of random forests (10 trees, each of a quarter of 4,000 MNIST digits) behind one application each,
majority vote, SLO 20 ms. Open loop, 60 queries a second, each for a digit that no forest has seen; mean and P99
latency of the client in ms, from the intended send time. "Missing" is the share of the models' outputs that were
not there when the answer was given; accuracy counts default outputs as wrong. "Blocking" is the same with an SLO of
10 s, which waits for all. A straggler is a forest whose batch takes long because up to sixteen containers share two
cores.

What differs: the paper answers no sooner than 3 ms before the deadline, whatever has come (17 ms always); ours
answers when the last model has answered. Its forests had a server of their own, and its accuracy is of 5 trees on
3,000 digits (6 trials); where models were missing it is of those that came.
"""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """One size, one objective: latencies in ms, and shares from 0 to 1."""

    mean: float
    p99: float
    missing: float
    accuracy: float
    defaults: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} / {self.p99:.1f}"


def deploy_forests(connection: ClipperConnection, count: int) -> list[str]:
    names = [f"forest-{number}" for number in range(count)]
    forests = [models.bagged_forest(number) for number in range(count)]
    with ThreadPoolExecutor(SESSIONS) as sessions:
        list(sessions.map(lambda name, forest: cluster.deploy(connection, name, forest), names, forests))
    return names


def measure(connection: ClipperConnection, names: Sequence[str], slo_micros: int, seconds: float) -> Ensemble:
    data = models.digits()
    bodies = [cluster.as_json(digit) for digit in data.test]
    app = f"app-{len(names)}-{slo_micros}"
    url = cluster.serve(connection, app, names, slo_micros, bodies[0])
    asking.ask(url, bodies, RATE, 0.5)
    replies = asking.ask(url, bodies, RATE, seconds, seed=1)
    connection.unregister_application(app)
    return summary(replies, data.test_labels, len(names))


def summary(replies: Sequence[Reply], labels: Sequence[int], linked: int) -> Ensemble:
    latencies = [reply.seconds * 1e3 for reply in replies]
    right = [not reply.answer["default"] and reply.answer["output"] == labels[reply.number] for reply in replies]
    return Ensemble(
        mean=statistics.mean(latencies),
        p99=float(np.percentile(latencies, 99)),
        missing=1 - statistics.mean(_came(reply, linked) for reply in replies) / linked,
        accuracy=float(np.mean(right)),
        defaults=float(np.mean([reply.answer["default"] for reply in replies])),
    )


def _came(reply: Reply, linked: int) -> int:
    """Models whose outputs were combined; applications with one model don't name it."""
    if reply.answer["default"]:
        return 0
    return len(reply.answer["models"]) if linked > 1 else 1


def run(quick: bool) -> Result:
    sizes, seconds = (SIZES[1:2], 1.0) if quick else (SIZES, SECONDS)
    with cluster.cluster() as connection:
        names = deploy_forests(connection, max(sizes))
        found = {
            size: [measure(connection, names[:size], slo, seconds) for slo in (SLO_MICROS, BLOCKING_MICROS)]
            for size in sizes
        }
    rows = [_row(size, *each) for size, each in found.items()]
    head = ["models", "ours", "paper", "blocking", "paper", "missing", "paper", "accuracy", "paper", "blocking's"]
    return Result(
        "fig9", "Fig. 9: stragglers", REMARKS, (Table("Mean / P99 latency in ms", head, rows),), _draw(found)
    )


def _row(size: int, ours: Ensemble, blocking: Ensemble) -> list[Cell]:
    mine, theirs, missing, accuracy = PAPER[size]
    shares: list[Cell] = [f"{ours.missing:.1%}", f"{missing}%"]
    return [size, str(ours), mine, str(blocking), theirs, *shares, ours.accuracy, accuracy, blocking.accuracy]


def _draw(found: dict[int, list[Ensemble]]) -> Any:
    def draw(axes: Any) -> None:
        for index, label in enumerate(("ours", "blocking")):
            (line,) = axes.plot(
                list(found), [each[index].p99 for each in found.values()], marker="o", label=f"{label}, P99"
            )
            means = [each[index].mean for each in found.values()]
            axes.plot(list(found), means, "--", color=line.get_color(), label=f"{label}, mean")
        axes.axhline(SLO_MICROS / 1e3, color="gray", linewidth=0.5)
        axes.set(xlabel="models in the ensemble", ylabel="latency, ms", yscale="log", xticks=list(found))
        axes.legend()

    return draw


if __name__ == "__main__":
    tables.main(run, __doc__)
