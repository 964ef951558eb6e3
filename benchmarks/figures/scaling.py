"""SIMULATED scaling to more cores, from costs measured here: ``python -m benchmarks.figures.scaling``."""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.figures import cluster, models, tables
from benchmarks.figures.tables import Cell, Result, Table
from benchmarks.load import BODY, measure
from clipper_admin import ClipperConnection

SLO_MICROS = 100_000
SECONDS = 3.0
CORES = (2, 4, 8, 16, 32)
CLIENTS = 64
"""Connections for each frontend, of clients on other machines."""
LARGEST = 256
IN_FLIGHT = 2
QUERIES = 10_000
BATCHES = (2, 8, 32)
PREFERENCES = {"ties go to the same replica": False, "each frontend prefers another": True}

REMARKS = """
**A simulation.** Only the costs are measured, on this machine: the CPU time that the query frontend and the model
container spend on a query and on a batch (the sum of ten doubles; least squares over three runs of a real cluster
with batches of at most 2, 8 and 32). The simulation gives every frontend and every container a core of its own and
no cost to the kernel's sharing of memory and sockets, so what it says of many cores is a bound, not a promise.
Frontends work in turns, as the event loop does: all that has come is parsed, then the replica that has the fewest
batches of this frontend (at most two) gets all that waits; containers take batches in the order of their coming.
Clients ask again at once, 64 for each frontend. Of some ways to divide the cores between frontends and replicas the
best is shown.

The first table is for dispatch as it is: of equally busy replicas the one with the lowest learned latency is taken.
Since containers tell how long they worked, without the time that a batch waited for other frontends, all frontends
may find the same one the quickest and crowd there. In this simulation all replicas are equally quick and ties go to
the first, so they always do; how much of that a real cluster does was not measured. The second table is for
frontends that each prefer another replica, which this Clipper does not do.

The paper (Fig. 6): 3.96 times the throughput with 4 replicas, on GPUs of different machines behind one frontend.
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds."""

    query: float
    batch: float

    def of(self, queries: int, batches: int) -> float:
        return self.query * queries + self.batch * batches


@dataclass(frozen=True, slots=True)
class Costs:
    frontend: Cost
    container: Cost


@dataclass(frozen=True, slots=True)
class Simulated:
    """Throughput a second, P99 in seconds, queries a batch."""

    rate: float
    p99: float
    batch: float


def measure_costs(seconds: float) -> Costs:
    with cluster.cluster() as connection:
        cluster.deploy(connection, "sum", models.sums)
        url = cluster.serve(connection, "sum", ["sum"], SLO_MICROS, BODY)
        measure(url, CLIENTS, 1)
        runs = np.array([_spent(connection, url, size, seconds) for size in BATCHES])
    return Costs(_fit(runs[:, :2], runs[:, 2]), _fit(runs[:, :2], runs[:, 3]))


def _fit(counted: Any, spent: Any) -> Cost:
    """Least squares over (queries, batches); never below 0, which noise could give."""
    found, *_ = np.linalg.lstsq(counted, spent)
    query, batch = np.maximum(found, 0.0).tolist()
    return Cost(query, batch)


def _spent(connection: ClipperConnection, url: str, size: int, seconds: float) -> tuple[float, float, float, float]:
    """Queries, batches, and CPU seconds of the frontend and of the container, under batches of at most ``size``."""
    connection.set_batching("sum", batch_size=size)
    time.sleep(0.4)
    parts = [cluster.processes(connection, word) for word in ("clipper.frontend.server", "clipper-container")]
    counted, before = cluster.counts(connection, "sum"), [cluster.cpu_seconds(part) for part in parts]
    measure(url, CLIENTS, seconds)
    frontend, container = (cluster.cpu_seconds(part) - then for part, then in zip(parts, before, strict=True))
    after = cluster.counts(connection, "sum")
    return after.queries - counted.queries, after.batches - counted.batches, frontend, container


class Simulation:
    """Closed-loop clients, frontends and replicas; every step is one turn of a frontend's event loop."""

    def __init__(
        self, costs: Costs, frontends: int, replicas: int, apart: bool = False, largest: int = LARGEST
    ) -> None:
        """``apart``: of equally busy replicas each frontend prefers another one. ``largest``: queries of a batch."""
        self._costs = costs
        self._apart = apart
        self._largest = largest
        self._arrived = [[0.0] * CLIENTS for _ in range(frontends)]
        self._waiting: list[list[float]] = [[] for _ in range(frontends)]
        self._in_flight = [[0] * replicas for _ in range(frontends)]
        self._free_at = [0.0] * replicas
        self._events: list[tuple[float, int, int, int, list[float]]] = []
        self._numbers = itertools.count()
        self._busy_until = [0.0] * frontends
        self.latencies: list[float] = []
        self.batches = 0
        self.now = 0.0
        for frontend in range(frontends):
            self._turn(frontend, 0.0, [])

    def run(self, queries: int) -> Simulated:
        while len(self.latencies) < queries:
            self.now, _, frontend, replica, batch = heapq.heappop(self._events)
            if self.now < self._busy_until[frontend]:  # the event loop is in the middle of a turn
                self._push(self._busy_until[frontend], frontend, replica, batch)
                continue
            if replica >= 0:
                self._in_flight[frontend][replica] -= 1
            self._turn(frontend, self.now, batch)
        settled = self.latencies[len(self.latencies) // 5 :]
        p99 = float(np.percentile(settled, 99))
        return Simulated(len(self.latencies) / self.now, p99, len(self.latencies) / max(1, self.batches))

    def _turn(self, frontend: int, now: float, answered: list[float]) -> None:
        """Parses what has come, answers a batch, hands out what waits; the clients of the answers ask again."""
        arrived, self._arrived[frontend] = self._arrived[frontend], []
        done = now + self._costs.frontend.of(len(arrived), 1 if answered else 0)
        self._waiting[frontend] += arrived
        self.latencies += [done - asked for asked in answered]
        self._arrived[frontend] = [done] * len(answered)
        self._busy_until[frontend] = done
        self._hand_out(frontend, done)
        if answered:
            self._push(done, frontend, -1, [])

    def _hand_out(self, frontend: int, now: float) -> None:
        """As ``clipper.execution.dispatch``: the least busy takes all there is, as far as this frontend knows."""
        mine, waiting = self._in_flight[frontend], self._waiting[frontend]
        first = frontend % len(mine) if self._apart else 0
        order = [*range(first, len(mine)), *range(first)]
        while waiting and min(mine) < IN_FLIGHT:
            replica = min(order, key=mine.__getitem__)
            batch = waiting[: self._largest]
            del waiting[: self._largest]
            mine[replica] += 1
            self.batches += 1
            self._free_at[replica] = max(now, self._free_at[replica]) + self._costs.container.of(len(batch), 1)
            self._push(self._free_at[replica], frontend, replica, batch)

    def _push(self, when: float, frontend: int, replica: int, batch: list[float]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), frontend, replica, batch))


def best_split(costs: Costs, cores: int, queries: int, apart: bool) -> tuple[int, Simulated]:
    """The number of frontends with which ``cores`` do most, and what they do."""
    tried = {max(1, round(cores * share)) for share in (0.5, 0.6, 0.7, 0.8, 0.9)} - {cores} | {cores - 1}
    results = {n: Simulation(costs, n, cores - n, apart).run(queries) for n in sorted(tried)}
    best = max(results, key=lambda n: results[n].rate)
    return best, results[best]


def run(quick: bool) -> Result:
    costs = measure_costs(1.0 if quick else SECONDS)
    queries = QUERIES // 5 if quick else QUERIES
    found = {
        label: {cores: best_split(costs, cores, queries, apart) for cores in (CORES[:3] if quick else CORES)}
        for label, apart in PREFERENCES.items()
    }
    head = ["cores", "frontends", "replicas", "queries/s (simulated)", "times 2 cores", "P99 ms", "mean batch"]
    simulated = [
        Table(f"Simulated, the best split of the cores: {label}", head, _rows(by)) for label, by in found.items()
    ]
    spent = [
        [name, cost.query * 1e6, cost.batch * 1e6]
        for name, cost in (("query frontend", costs.frontend), ("model container", costs.container))
    ]
    measured = Table("Measured: CPU of a real cluster", ["process", "µs a query", "µs a batch"], spent)
    return Result("scaling", "More cores (simulated)", REMARKS, (measured, *simulated), _draw(found))


def _rows(found: dict[int, tuple[int, Simulated]]) -> list[list[Cell]]:
    one = found[CORES[0]][1].rate
    return [
        [cores, n, cores - n, each.rate, f"{each.rate / one:.2f}", each.p99 * 1e3, each.batch]
        for cores, (n, each) in found.items()
    ]


def _draw(found: dict[str, dict[int, tuple[int, Simulated]]]) -> Any:
    def draw(axes: Any) -> None:
        for label, by_cores in found.items():
            axes.plot(list(by_cores), [each.rate for _, each in by_cores.values()], marker="o", label=label)
        axes.set(xlabel="cores", ylabel="queries/s, simulated", ylim=(0, None))
        axes.legend()

    return draw


if __name__ == "__main__":
    tables.main(run, __doc__)
