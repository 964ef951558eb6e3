"""Fig. 6's shape, replicas of one model and query frontends: ``python -m benchmarks.figures.fig6``."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import cluster, models, tables
from benchmarks.figures.tables import Cell, Result, Table
from benchmarks.load import BODY, Load, measure

SLO_MICROS = 100_000
SECONDS = 2.0
BATCH = 8
CONNECTIONS = 32
PAPER = {1: (19_477, 47.3, 49.9), 2: (38_538, 47.9, 50.6), 3: (57_631, 48.1, 50.8), 4: (77_122, 47.8, 50.5)}

REMARKS = """
Closed loop, ten doubles, 32 connections for each replica; batches of at most 8. Latencies are the client's, in ms.
The last columns are throughput over that of one replica, ours and the paper's.

What differs: the paper has a conv net on GPUs of a cluster with 10 Gbps between its machines, and large batches.
Two cores can't run four busy models, so this one sleeps: 2 ms a batch and 0.05 ms a query, as if it were on an
accelerator. A full batch is 2.4 ms, so that one replica could serve 3,330 queries a second; small batches, so that
four of them stay below what a frontend can do on this machine. For more cores see `scaling.md`, a simulation.
"""


def measure_replicas(frontends: int, replicas: tuple[int, ...], seconds: float) -> dict[int, Load]:
    found = {}
    with cluster.cluster(frontends=frontends) as connection:
        cluster.deploy(connection, "sleeper", models.sleeper, batch_size=BATCH)
        url = cluster.serve(connection, "sleeper", ["sleeper"], SLO_MICROS, BODY)
        for count in replicas:
            connection.set_num_replicas("sleeper", count)
            measure(url, CONNECTIONS * count, 1)
            found[count] = measure(url, CONNECTIONS * count, seconds)
    return found


def run(quick: bool) -> Result:
    replicas = (1, 2) if quick else (1, 2, 3, 4)
    seconds = 1.0 if quick else SECONDS
    found = {n: measure_replicas(n, replicas, seconds) for n in ((1,) if quick else (1, 2))}
    rows = [_row(n, count, by_count) for n, by_count in found.items() for count in by_count]
    head = ["frontends", "replicas", "predictions/s", "p50", "P99", "defaults", "paper: queries/s, mean / P99 ms"]
    head += ["times one", "paper"]
    return Result("fig6", "Fig. 6: replicas", REMARKS, (Table("Replicas", head, rows),), _draw(found))


def _row(frontends: int, count: int, by_count: dict[int, Load]) -> list[Cell]:
    load, (rate, mean, p99) = by_count[count], PAPER[count]
    times = f"{load.good_rate / by_count[1].good_rate:.2f}"
    paper = f"{rate:,}, {mean} / {p99}"
    share = f"{load.not_ok / load.requests:.2%}"
    return [frontends, count, load.good_rate, load.p50, load.p99, share, paper, times, f"{rate / PAPER[1][0]:.2f}"]


def _draw(found: dict[int, dict[int, Load]]) -> Any:
    def draw(axes: Any) -> None:
        for frontends, by_count in found.items():
            rates = [load.good_rate / by_count[1].good_rate for load in by_count.values()]
            axes.plot(list(by_count), rates, marker="o", label=f"{frontends} frontend{'s' * (frontends > 1)}")
        axes.plot(list(PAPER), [rate / PAPER[1][0] for rate, _, _ in PAPER.values()], "--", label="paper, 10 Gbps")
        axes.set(xlabel="replicas", ylabel="throughput over that of one replica", xticks=list(PAPER))
        axes.legend()

    return draw


if __name__ == "__main__":
    tables.main(run, __doc__)
