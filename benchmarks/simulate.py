"""Batching, dispatch and shedding on a virtual clock: the real executor, made-up containers, seconds of load at once.

A container works on one batch at a time, in (a + b*n) * noise * drift seconds; queries come as a Poisson process.
What counts is the goodput: outputs within the objective, a second. The oracle is the best of some static batch sizes,
known only after all of them were played with the same queries.

``python -m benchmarks.simulate`` plays everything and prints Markdown (``--only steady overload`` plays some tables,
``--out benchmarks/results/simulate.md`` writes it, too). From Python:

    run(Scenario("two", costs=(Cost(0.002, 0.0002),), rate=5000.0, slo=0.020), "aimd") -> Report
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.simulation import Cost, Report, Scenario, run

SLO = 0.020
WAYS = ("aimd", "quantile")

PAPER = {
    "no-op": Cost(393e-6, 9.7e-6),
    "logistic regression (sklearn)": Cost(896e-6, 11.3e-6),
    "linear SVM (sklearn)": Cost(558e-6, 12.4e-6),
    "linear SVM (PySpark)": Cost(735e-6, 23.6e-6),
    "random forest (sklearn)": Cost(7236e-6, 21.4e-6),
    "kernel SVM (sklearn)": Cost(2283e-6, 4703e-6),
}
"""Figure 3 of the paper: what a batch takes in its six containers."""

PLAIN = Cost(2e-3, 0.2e-3)
SHARES = (0.2, 0.35, 0.5, 0.9)
"""Of the objective: what the oracle's static batches may take."""


def capacity(costs: Sequence[Cost], slo: float = SLO) -> float:
    """Queries a second if every query finds one batch before its own: each takes half of the objective."""
    return sum(cost.capacity(slo / 2) for cost in costs)


def scenario(name: str, costs: Sequence[Cost], load: float, queries: int = 50_000, shortest: float = 0.6) -> Scenario:
    """``load`` times the capacity for as long as ``queries`` take, but ``shortest`` to 20 s; a third is warm-up."""
    rate = load * capacity(costs)
    seconds = min(20.0, max(shortest, queries / rate))
    return Scenario(name, tuple(costs), rate, SLO, seconds, warm_up=seconds / 3)


def ideal(cost: Cost, rate: float, slo: float = SLO) -> float:
    """The goodput, at ``rate``, that no dispatcher of one container beats if there is no noise.

    A batch that takes T is in time for those who came ``slo - T`` before it began: n <= rate * (slo - a - b*n).
    """
    size = rate * (slo - cost.intercept) / (1 + rate * cost.slope)
    return min(rate, size / (cost.intercept + cost.slope * size))


def oracle(played: Scenario, shares: Sequence[float] = SHARES) -> Report:
    """The best that a static size reaches."""
    sizes = sorted({played.costs[0].fits(share * played.slo) for share in shares})
    return max((run(played, batch_size=size) for size in sizes), key=lambda report: report.goodput)


# -- what changes while the load goes on


def sinusoid(now: float) -> float:
    return 1.0 + 0.5 * math.sin(2 * math.pi * now / 5.0)


def step(now: float) -> float:
    """Three times as slow from 4 s to 7 s."""
    return 3.0 if 4.0 <= now < 7.0 else 1.0


def ramp(now: float) -> float:
    return 1.0 + 0.1 * now


DISTURBED = {
    "steady, noise 2 %": PLAIN,
    "noise 10 %": replace(PLAIN, noise=0.1),
    "noise 30 %": replace(PLAIN, noise=0.3),
    "1 batch of 100 takes ten times as long": replace(PLAIN, hiccups=0.01),
    "costs go up and down by half in 5 s": replace(PLAIN, drift=sinusoid),
    "three times as slow from 4 s to 7 s": replace(PLAIN, drift=step),
    "10 % slower every second": replace(PLAIN, drift=ramp),
}

SLOW = replace(PLAIN, intercept=4 * PLAIN.intercept, slope=4 * PLAIN.slope)
FLEETS = {
    "one": (PLAIN,),
    "four alike": (PLAIN,) * 4,
    "one and one 4x slower": (PLAIN, SLOW),
    "three and one 4x slower": (PLAIN, PLAIN, PLAIN, SLOW),
    "four, 1 batch of 100 takes ten times as long": (replace(PLAIN, hiccups=0.01),) * 4,
}

# -- the tables

Table = Iterator[Sequence[str]]


def steady() -> Table:
    """Saturated (1.5 times the capacity): learned sizes against the best static one and against no batching."""
    yield "container", "ideal", "best static", *(f"{way}, share of that, P99" for way in WAYS), "no batching"
    for name, cost in PAPER.items():
        played = scenario(name, (cost,), 1.5)
        alone = run(played, batch_size=1)
        yield name, f"{ideal(cost, played.rate):,.0f}/s", *against_oracle(played), f"{alone.goodput:,.0f}/s"


def disturbed() -> Table:
    """2 ms + 0.2 ms a query, at 1.2 times the capacity of the undisturbed container."""
    yield "container", "best static", *(f"{way}, share of it, P99" for way in WAYS)
    for name, cost in DISTURBED.items():
        yield name, *against_oracle(scenario(name, (cost,), 1.2))


def against_oracle(played: Scenario) -> Iterator[str]:
    best = oracle(played)
    yield f"{best.goodput:,.0f}/s in {best.mean_batch:,.0f}s"
    for way in WAYS:
        mine = run(played, way)
        yield f"{mine.goodput:,.0f}/s, {mine.goodput / best.goodput:.2f}, {mine.p99 * 1e3:.1f} ms"


def overload() -> Table:
    """Goodput at multiples of the capacity, as a share of its peak over all of them; defaults; P99 of the answers."""
    loads = (0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 5.0)
    costs = {"2 ms + 0.2 ms a query": PLAIN} | {name: PAPER[name] for name in ("random forest (sklearn)", "no-op")}
    yield "container", *(f"{load:g}x" for load in loads)
    for name, cost in costs.items():
        reports = [run(scenario(name, (cost,), load)) for load in loads]
        peak = max(report.goodput for report in reports)
        yield name, *(f"{r.goodput / peak:.2f}, {r.defaults:.1%}, {r.p99 * 1e3:.1f} ms" for r in reports)


def replicas() -> Table:
    """Goodput of several containers at 0.8 and at 1.5 times the sum of their capacities, as a share of that sum."""
    yield "containers", "capacity", "0.8x: goodput, defaults, P99", "1.5x: goodput, defaults, P99"
    for name, costs in FLEETS.items():
        total = capacity(costs)
        reports = [run(scenario(name, costs, load)) for load in (0.8, 1.5)]
        cells = (f"{r.goodput / total:.2f}, {r.defaults:.2%}, {r.p99 * 1e3:.1f} ms" for r in reports)
        yield name, f"{total:,.0f}/s", *cells


def start() -> Table:
    """The first second of a container that nobody has asked before, at 0.8 times its capacity."""
    yield "container", *(f"{way}: defaults, P99" for way in WAYS)
    for name, cost in (PAPER | {"2 ms + 0.2 ms a query": PLAIN}).items():
        first = replace(scenario(name, (cost,), 0.8), seconds=1.0, warm_up=0.0)
        reports = [run(first, way) for way in WAYS]
        yield name, *(f"{report.defaults:.2%}, {report.p99 * 1e3:.1f} ms" for report in reports)


def delay() -> Table:
    """Half of the capacity, with delays of the batch: P50, mean batch, and the share of the time that is worked."""
    delays = {"none": 0, "1 ms": 1000, "2 ms": 2000, "learned": -1}
    yield "container", *delays
    for name in ("no-op", "linear SVM (PySpark)", "random forest (sklearn)"):
        played = scenario(name, (PAPER[name],), 0.5)
        reports = [run(played, delay_micros=micros) for micros in delays.values()]
        yield name, *(f"{r.p50 * 1e3:.2f} ms, {r.mean_batch:.0f}, {r.busy:.0%}" for r in reports)


TABLES: dict[str, Callable[[], Table]] = {
    each.__name__: each for each in (steady, disturbed, overload, replicas, start, delay)
}


def rendered(table: Callable[[], Table]) -> Iterator[str]:
    """A table as lines of Markdown, each as soon as it is known."""
    yield f"\n## {table.__name__.capitalize()}\n\n{table.__doc__}\n"
    for number, row in enumerate(table()):
        yield f"| {' | '.join(row)} |"
        if number == 0:
            yield "|" + "---|" * len(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [
        "# Simulated: batching on a virtual clock",
        "",
        f"Objective {SLO * 1e3:g} ms. By `python -m benchmarks.simulate`.",
    ]
    print("\n".join(lines))
    for name in arguments.only:
        for line in rendered(TABLES[name]):
            print(line, flush=True)
            lines.append(line)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
