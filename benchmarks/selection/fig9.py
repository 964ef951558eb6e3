"""Fig. 9 with an eye on accuracy: ensembles of random forests answer by what has come, or wait for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.figures import cluster
from benchmarks.figures import fig9 as stragglers
from benchmarks.figures.fig9 import BLOCKING_MICROS, SLO_MICROS, Ensemble
from benchmarks.figures.tables import Cell, Result, Table
from benchmarks.selection.settings import Settings

SIZES = (1, 2, 4, 8, 10, 12, 14, 16)
SECONDS = 5.0
ROUNDS = 2
"""Every ensemble is measured so often; ours and the blocking one take turns."""
QUICK_SIZES, QUICK_SECONDS = (2,), 1.0

PAPER = stragglers.PAPER | {
    10: ("17.1 / 18.3", "27.8 / 133", 22.4, 0.902),
    12: ("17.3 / 19.7", "39.6 / 140", 38.9, 0.907),
    14: ("17.4 / 21.7", "58.5 / 138", 62.2, 0.911),
}

REMARKS = """
What `benchmarks.figures.fig9` measures, with every size of the paper and {rounds} rounds of {seconds:g} s in which
ours and the blocking ensemble take turns: ensembles of random forests (10 trees, each of a quarter of 4,000 MNIST
digits), majority vote, SLO {slo:g} ms, open loop, {rate:g} queries a second, digits that no forest has seen.
"Blocking" waits for all. "Missing": outputs that were not there when the answer was given. "Accuracy" counts default
outputs as wrong; "of answers" leaves them out: it is that of the votes of what had come.

What differs: the paper's forests (5 trees of 3,000 digits) had a server of their own, and its accuracy is that of all
models of an ensemble; up to sixteen containers share this machine's cores with the frontend and the client.
"""


def mean(found: Sequence[Ensemble]) -> Ensemble:
    """What several rounds have found, on average."""
    return Ensemble(*(sum(getattr(each, name) for each in found) / len(found) for name in Ensemble.__slots__))


def of_answers(ensemble: Ensemble) -> float:
    """The accuracy without the default outputs, which are always wrong."""
    return ensemble.accuracy / (1 - ensemble.defaults) if ensemble.defaults < 1 else 0.0


def measure(settings: Settings) -> dict[int, tuple[Ensemble, Ensemble]]:
    """Ours and the blocking ensemble, by the number of models."""
    sizes, seconds, rounds = (QUICK_SIZES, QUICK_SECONDS, 1) if settings.quick else (SIZES, SECONDS, ROUNDS)
    with cluster.cluster() as connection:
        names = stragglers.deploy_forests(connection, max(sizes))
        found: dict[int, tuple[Ensemble, Ensemble]] = {}
        for size in sizes:
            turns = [
                [stragglers.measure(connection, names[:size], slo, seconds) for slo in (SLO_MICROS, BLOCKING_MICROS)]
                for _ in range(rounds)
            ]
            ours, blocking = (mean(each) for each in zip(*turns, strict=True))
            found[size] = ours, blocking
        return found


def run(settings: Settings) -> list[Result]:
    found = measure(settings)
    seconds, rounds = (QUICK_SECONDS, 1) if settings.quick else (SECONDS, ROUNDS)
    remarks = REMARKS.format(rounds=rounds, seconds=seconds, slo=SLO_MICROS / 1e3, rate=stragglers.RATE)
    return [
        Result(
            "fig9",
            "Fig. 9: stragglers, accuracy beside latency",
            remarks,
            (latency_table(found), accuracy_table(found)),
            _draw(found),
        )
    ]


def latency_table(found: Mapping[int, tuple[Ensemble, Ensemble]]) -> Table:
    rows: list[list[Cell]] = []
    for size, (ours, blocking) in found.items():
        mine, theirs, _, _ = PAPER[size]
        within = "yes" if ours.p99 <= SLO_MICROS / 1e3 else "no"
        faster = "yes" if ours.mean <= blocking.mean else "no"
        rows.append([size, str(ours), mine, str(blocking), theirs, within, faster])
    head = ["models", "ours", "paper", "blocking", "paper", "P99 <= SLO", "mean <= blocking's"]
    return Table("Mean / P99 latency in ms", head, rows)


def accuracy_table(found: Mapping[int, tuple[Ensemble, Ensemble]]) -> Table:
    rows: list[list[Cell]] = []
    for size, (ours, blocking) in found.items():
        _, _, missing, accuracy = PAPER[size]
        came = [f"{ours.missing:.1%}", f"{missing}%", f"{ours.defaults:.1%}"]
        shares = [f"{each:.3f}" for each in (ours.accuracy, of_answers(ours), blocking.accuracy, accuracy)]
        rows.append([size, *came, *shares])
    head = ["models", "missing", "paper", "defaults", "accuracy", "of answers", "blocking's", "paper's of all models"]
    return Table("Accuracy", head, rows)


def _draw(found: Mapping[int, tuple[Ensemble, Ensemble]]) -> Any:
    def draw(axes: Any) -> None:
        sizes = list(found)
        ours, blocking = ([each[index] for each in found.values()] for index in (0, 1))
        axes.plot(sizes, [of_answers(each) for each in ours], marker="o", label="ours, of answers")
        axes.plot(sizes, [each.accuracy for each in ours], marker="o", label="ours, defaults are wrong")
        axes.plot(sizes, [each.accuracy for each in blocking], "--", marker="o", label="blocking")
        axes.plot(sizes, [PAPER[size][3] for size in sizes], ":", color="gray", label="paper, all models")
        axes.set(xlabel="models in the ensemble", ylabel="accuracy", xticks=sizes)
        axes.legend(loc="lower right")
        latency = axes.twinx()
        for each, style in ((ours, "-"), (blocking, "--")):
            latency.plot(sizes, [one.mean for one in each], style, color="tab:red", linewidth=0.8)
        latency.set_ylabel("mean latency, ms (red)")

    return draw
