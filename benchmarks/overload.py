"""Clipper under open-loop load, up to capacity and past it: ``python -m benchmarks.overload``.

Requests come as a Poisson process and count from the time they were due. Goodput is outputs within the SLO, a
second. A sweep of rates finds its peak, and the capacity: the highest rate at which 99 of 100 queries got their
output in time. Then, in rounds: 80 % of capacity, where the p99 should be within the SLO and defaults rare; twice
and five times capacity, where goodput should stay at its peak and every answer, default or not, should come soon
after the SLO. A row whose generator was itself late is marked: it shows a busier machine, not a slower server.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import openloop
from benchmarks.figures.tables import RESULTS, Cell, Result, Table, about, markdown, publish
from benchmarks.generator import MAX_CONNECTIONS
from benchmarks.openloop import OpenLoad
from benchmarks.peers import SYSTEMS
from benchmarks.servers import Server, end_all_on_sigterm, serving

SLO = 20.0
"""Milliseconds."""
GRACE = 10.0
"""Milliseconds after the SLO within which the last answers, defaults, should be here."""
KEPT = 0.99
FAR = 6.0
"""Times the capacity at which the sweep ends."""
SHARES = (0.8, 2.0, 5.0)
FIRST_RATES = {"timed": 1_000.0, "sum": 4_000.0}
MOST_OFFERED = 24_000.0
"""About what the generator can send on time, a second, beside a busy server on two cores."""
LATE = 2.0
"""Milliseconds of the generator's own p99 lateness from which a row is marked."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: the rate that was asked for, and what came of it."""

    rate: float
    load: OpenLoad

    @property
    def goodput(self) -> float:
        return self.load.goodput(SLO)


def measure(server: Server, rate: float, seconds: float, seed: int) -> Point:
    kept = math.ceil(rate * (SLO + GRACE) / 1e3)  # under way at once, if answers come when they should
    load = openloop.run(
        server.url, server.body, rate, seconds, connections=min(max(64, kept), MAX_CONNECTIONS), seed=seed
    )
    point = Point(rate, load)
    print(
        f"offered {rate:8,.0f}/s: goodput {point.goodput:8,.0f}/s, p99 {load.p99:.1f} ms, "
        f"defaults {load.default_share:.2%}, errors {load.errors}, generator late {load.send_lag_p99:.1f} ms",
        file=sys.stderr,
        flush=True,
    )
    return point


def sweep(server: Server, first: float, seconds: float, step: float) -> list[Point]:
    """Rates that rise by ``step`` until goodput is clearly past its peak (twice in a row below 90 % of it)."""
    points, declines, rate = [], 0, first
    while declines < 2 and rate < min(MOST_OFFERED, FAR * capacity(points) if points else math.inf):
        points.append(measure(server, rate, seconds, seed=len(points)))
        if points[-1].goodput < 0.9 * rate:  # past capacity, or disturbed?
            points.append(measure(server, rate, seconds, seed=len(points)))
        declines = declines + 1 if max(p.goodput for p in points[-2:]) < 0.9 * peak_of(points) else 0
        rate *= step
    return points


def peak_of(points: Sequence[Point]) -> float:
    """The highest goodput. Past capacity it may be higher than before: batches are larger."""
    return max(point.goodput for point in points)


def capacity(points: Sequence[Point]) -> float:
    """The highest rate at which 99 of 100 queries got their output in time; if there was none, the peak."""
    return max((point.rate for point in points if point.goodput >= KEPT * point.rate), default=peak_of(points))


@dataclass(frozen=True, slots=True)
class Found:
    """What one workload's runs found: the sweep, and the rounds at each share of its capacity."""

    workload: str
    swept: list[Point]
    rounds: dict[float, list[Point]]


def examine(workload: str, seconds: float, rounds: int, step: float) -> Found:
    system = replace(SYSTEMS["clipper"], variables={"BENCH_SLO_MICROS": str(round(SLO * 1000))})
    first = FIRST_RATES[workload]
    with serving(system, workload) as server:
        measure(server, first, seconds, seed=0)  # the batch size is learned
        swept = sweep(server, first, seconds, step)
        able = capacity(swept)
        found: dict[float, list[Point]] = {share: [] for share in SHARES}
        for number in range(rounds):
            for share in SHARES:
                found[share].append(measure(server, min(share * able, MOST_OFFERED), seconds, seed=number))
    return Found(workload, swept, found)


def row(point: Point, share: str, peak: float) -> Sequence[Cell]:
    load = point.load
    late = f"{load.send_lag_p99:.1f}" + (" (!)" if load.send_lag_p99 > LATE else "")
    shown = (f"{load.p50:.1f}", f"{load.p99:.1f}", f"{load.p999:.1f}")
    return (
        share,
        point.rate,
        point.goodput,
        point.goodput / peak,
        *shown,
        f"{load.default_share:.2%}",
        load.errors,
        late,
    )


HEAD = (
    "of capacity",
    "offered/s",
    "goodput/s",
    "of peak",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "defaults",
    "errors",
    "generator late, ms",
)


def tables(found: Found) -> list[Table]:
    able, peak = capacity(found.swept), peak_of(found.swept)
    swept = [row(point, f"{point.rate / able:.0%}", peak) for point in found.swept]
    shares = [row(point, f"{share:.0%}", peak) for share, points in found.rounds.items() for point in points]
    return [
        Table(f"{found.workload}: the sweep, capacity {able:,.0f}/s, peak {peak:,.0f}/s", HEAD, swept),
        Table(f"{found.workload}: at and past capacity", HEAD, shares),
    ]


def verdicts(found: Found) -> list[Sequence[Cell]]:
    """The medians of the rounds against what the issue asks for."""
    able, peak, by = capacity(found.swept), peak_of(found.swept), found.rounds

    def middle(share: float, value: Callable[[Point], float]) -> float:
        return median(value(point) for point in by[share])

    p99 = middle(0.8, lambda point: point.load.p99)
    defaults = middle(0.8, lambda point: point.load.default_share)
    rows: list[Sequence[Cell]] = [
        (found.workload, "80 % of capacity: p99", f"<= {SLO:.0f} ms", f"{p99:.1f} ms", _yes(p99 <= SLO)),
        (found.workload, "80 % of capacity: defaults", "<= 0.1 %", f"{defaults:.2%}", _yes(defaults <= 0.001)),
    ]
    for share in SHARES[1:]:
        kept = middle(share, lambda point: point.goodput) / peak
        late = middle(share, lambda point: point.load.p99)
        offered = by[share][0].rate / able
        what = f"{share:.0f} x capacity" if offered > 0.99 * share else f"{offered:.1f} x (all that can be sent here)"
        rows.append((found.workload, f"{what}: goodput of peak", ">= 0.95", f"{kept:.2f}", _yes(kept >= 0.95)))
        limit = SLO + GRACE
        rows.append(
            (found.workload, f"{what}: p99 of all", f"<= {limit:.0f} ms", f"{late:.1f} ms", _yes(late <= limit))
        )
    return rows


def _yes(reached: bool) -> str:
    return "yes" if reached else "no"


def result(all_found: Sequence[Found]) -> Result:
    reached = [each for found in all_found for each in verdicts(found)]
    summary = Table("What it must reach", ("workload", "measure", "at least", "found", "reached"), reached)

    def draw(axes: Any) -> None:
        for found in all_found:
            points = sorted(chain(found.swept, *found.rounds.values()), key=lambda point: point.rate)
            axes.plot([p.rate for p in points], [p.goodput for p in points], "o-", markersize=3, label=found.workload)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("requests offered a second")
        axes.set_ylabel(f"outputs within {SLO:.0f} ms, a second")
        axes.legend()

    remarks = (
        f"Poisson arrivals, SLO {SLO:.0f} ms, one query frontend, one replica, batch size learned, cache off. "
        "`timed` sleeps 2 ms and 0.2 ms a query, `sum` adds ten doubles. Latencies are of all answers, from the time "
        "their request was due; goodput counts the outputs that came within the SLO. The generator shares the "
        "machine's cores."
    )
    every = [table for found in all_found for table in tables(found)]
    return Result("overload", "Under open-loop load, up to capacity and past it", remarks, (summary, *every), draw)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", choices=FIRST_RATES, default=list(FIRST_RATES), metavar="NAME")
    parser.add_argument("--seconds", type=float, help="of each measurement (5; quick: 1)")
    parser.add_argument("--rounds", type=int, help="at each share of capacity (3; quick: 1)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    end_all_on_sigterm()
    seconds = options.seconds or (1.0 if options.quick else 5.0)
    rounds = options.rounds or (1 if options.quick else 3)
    step = 2.0 if options.quick else 1.3
    made = result([examine(workload, seconds, rounds, step) for workload in options.workloads])
    conditions = {**about(options.quick), "seconds": seconds, "rounds": rounds}
    publish(made, options.results, conditions)
    print(markdown(made, conditions))


if __name__ == "__main__":
    main()
