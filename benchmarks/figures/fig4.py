"""Fig. 4, ways to size batches, six containers, SLO 20 ms: ``python -m benchmarks.figures.fig4``."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from benchmarks import openloop
from benchmarks.figures import cluster, fig3, models, tables
from benchmarks.figures.tables import Result, Table
from benchmarks.load import measure
from benchmarks.openloop import OpenLoad
from clipper_admin import ClipperConnection

SLO = 0.020
SECONDS = 1.5
NOTICE = 0.4
"""Seconds until every frontend has heard of a changed setting."""

HALF = 0.45
"""The share of the SLO for one batch: a query may find another one under way."""

OVERLOAD = 1.1
FRONTEND_SHARE = 0.6
CONNECTIONS = 64
ADAPTIVE = {"AIMD": {"batch_size": -1, "batching": "aimd"}, "quantile": {"batch_size": -1, "batching": "quantile"}}
PAPER = {
    "No-Op": ("48,386 / 20.4", "46,085 / 20.3", "8,964 / 0.15"),
    "Logistic regression": ("47,220 / 20.5", "43,954 / 21.0", "1,921 / 0.35"),
    "Linear SVM": ("48,934 / 20.2", "47,879 / 17.8", "1,921 / 0.34"),
    "Linear SVM, heavy batches": ("29,351 / 20.7", "27,743 / 19.8", "7,207 / 0.20"),
    "Random forest": ("22,859 / 20.8", "19,904 / 19.7", "317 / 5.1"),
    "Kernel SVM": ("198 / 28.8", "189 / 28.7", "203 / 6.0"),
}

REMARKS = """
Predictions a second that the client had within the SLO of 20 ms, counted from the intended send time / P99 of all
answers in ms. A query that is late gets the default output, which does not count; their share is in the last table.
Open loop, Poisson arrivals, each container at one rate for every way to size batches: 1.1 times what it could do
with the batch that fits into 45 % of the SLO (by a short run of Fig. 3), but at most 60 % of what the frontend
answers for No-Op in a closed loop: the open-loop generator needs more of the two cores than wrk does. "Best static"
is the one of three sizes with the most predictions in time.

What differs: the paper's figures are of batches, from the queue to the container and back, under a generator that
fills the queues (its queries waited up to 14 s in them) and with a core for each part; ours are of whole queries
over HTTP, with the generator, the frontend and the container on the same two cores. So the cheap models are bounded
by the frontend and the generator, not by their batches. "Linear SVM, heavy batches" stands in for PySpark's.
"""


@dataclass(frozen=True, slots=True)
class Point:
    """One way to size batches under load."""

    label: str
    load: OpenLoad
    mean_batch: float

    @property
    def rate(self) -> float:
        return self.load.goodput(SLO * 1e3)

    def __str__(self) -> str:
        return f"{self.rate:,.0f} / {self.load.p99:.1f}"


@dataclass(frozen=True, slots=True)
class Compared:
    """One container at one offered rate: every strategy by name, and the static sizes of the sweep."""

    offered: float
    points: dict[str, Point]
    sweep: list[Point]

    @property
    def best(self) -> Point:
        return max(self.sweep, key=lambda point: point.rate)


def frontend_rate(connection: ClipperConnection, body: bytes) -> float:
    """Queries a second that one frontend answers on this machine when the model costs nothing."""
    cluster.deploy(connection, "no-op", models.no_op)
    url = cluster.serve(connection, "no-op", ["no-op"], 1_000_000, body)
    rate = measure(url, CONNECTIONS, 1, body).rate
    connection.stop_models(["no-op"])
    return rate


def compare(
    connection: ClipperConnection, number: int, predict: models.Predict, most: float, body: bytes, quick: bool
) -> Compared:
    """Deploys one model, measures it under each strategy at up to ``most`` queries a second, and stops it."""
    slope, intercept = fig3.measure(predict, 0.2).line()
    size = max(1, round((HALF * SLO - intercept) / slope))
    offered = min(OVERLOAD * size / (intercept + slope * size), most)
    name = f"model-{number}"
    cluster.deploy(connection, name, predict)
    url = cluster.serve(connection, f"app-{number}", [name], int(SLO * 1e6), body)

    def at(label: str, warm: float, **batching: Any) -> Point:
        connection.set_batching(name, **batching)
        time.sleep(NOTICE)
        if warm:
            openloop.run(url, body, offered, warm)
        before = cluster.counts(connection, name)
        load = openloop.run(url, body, offered, 1.0 if quick else SECONDS, seed=1)
        return Point(label, load, cluster.counts(connection, name).mean_batch(before))

    points = {label: at(label, 1.0, **batching) for label, batching in ADAPTIVE.items()}
    points["none"] = at("none", 0.0, batch_size=1)
    filled = max(2.0, min(size, offered * HALF * SLO))  # more would not come together in that time
    sizes = sorted({max(2, round(share * filled)) for share in ((1,) if quick else (0.25, 1, 1.5))})
    sweep = [at(str(each), 0.0, batch_size=each) for each in sizes]
    connection.unregister_application(f"app-{number}")
    connection.stop_models([name])
    return Compared(offered, points, sweep)


def run(quick: bool) -> Result:
    names = ["Random forest"] if quick else list(models.SIX)
    body = cluster.as_json(models.digits().test[0])
    with cluster.cluster() as connection:
        most = FRONTEND_SHARE * frontend_rate(connection, body)
        found = {name: compare(connection, n, models.SIX[name](), most, body, quick) for n, name in enumerate(names)}
    return Result("fig4", "Fig. 4: ways to size batches", REMARKS, _tables(found), _draw(found))


def _tables(found: dict[str, Compared]) -> tuple[Table, ...]:
    rates = []
    for name, each in found.items():
        aimd, quantile, none = (each.points[label] for label in ("AIMD", "quantile", "none"))
        best = f"{each.best} (n = {each.best.label})"
        ours = [_pair(point, paper) for point, paper in zip((aimd, quantile, none), PAPER[name], strict=True)]
        reference = each.best.rate or 1.0
        shares = [f"{point.rate / reference:.2f}" for point in (aimd, quantile)]
        rates.append([name, each.offered, *ours, best, *shares])
    head = ["container", "offered", "AIMD (paper)", "quantile (paper)", "none (paper)", "best static"]
    head += ["AIMD / best", "quantile / best"]
    shares_head = ["container", "AIMD", "quantile", "none", "best static"]
    details = [
        [name, *(_detail(point) for point in (*each.points.values(), each.best))] for name, each in found.items()
    ]
    return (
        Table("Predictions a second / P99 in ms", head, rates),
        Table("Mean batch, and share of default outputs", shares_head, details),
    )


def _pair(point: Point, paper: str) -> str:
    return f"{point} ({paper})"


def _detail(point: Point) -> str:
    return f"{point.mean_batch:.3g}, {point.load.default_share:.2%}"


def _draw(found: dict[str, Compared]) -> Any:
    def draw(axes: Any) -> None:
        labels = ["AIMD", "quantile", "none", "best static"]
        for index, label in enumerate(labels):
            points = [each.points.get(label, each.best) for each in found.values()]
            at = [place + 0.2 * index for place in range(len(points))]
            axes.bar(at, [point.rate for point in points], width=0.2, label=label)
        axes.set_xticks([place + 0.3 for place in range(len(found))], list(found), rotation=20)
        axes.set(yscale="log", ylabel="predictions/s within 20 ms")
        axes.legend()

    return draw


if __name__ == "__main__":
    tables.main(run, __doc__)
