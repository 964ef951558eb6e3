"""The run of all systems as tables and pictures: ``python -m benchmarks.report FILE.json`` renders a run again."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from matplotlib import colormaps

from benchmarks.figures.tables import RESULTS, Cell, Result, Table, publish
from benchmarks.load import Load
from benchmarks.peers import SYSTEMS

OURS = "clipper"
SET_UPS = (OURS, "clipper_2")
"""Ours with one query frontend and with two: peers, too, are set up to use both cores where that is faster."""
COMPARED = ("sum", "no-op-784")
"""Workloads that every system runs; the others have a report of their own."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement. Those of one round were made one after the other."""

    workload: str
    system: str
    connections: int
    round: int
    load: Load


@dataclass(frozen=True, slots=True)
class Failure:
    """A system that could not be measured, and why."""

    workload: str
    system: str
    reason: str


@dataclass(frozen=True, slots=True)
class Run:
    """``about``: machine, date and so on; ``versions``: of the packages of each system."""

    about: dict[str, Any]
    versions: dict[str, dict[str, str]]
    samples: list[Sample]
    failures: list[Failure]

    def cases(self) -> list[tuple[str, int]]:
        """The workloads and numbers of connections, in the order in which they were measured."""
        return list(dict.fromkeys((each.workload, each.connections) for each in self.samples))

    def loads(self, workload: str, connections: int, system: str) -> dict[int, Load]:
        """By round."""
        wanted = (workload, connections, system)
        return {s.round: s.load for s in self.samples if (s.workload, s.connections, s.system) == wanted}

    def ratios(self, workload: str, connections: int, peer: str, ours_is: str = OURS) -> list[float]:
        """Our throughput over that of the peer, in each round that has both."""
        ours, theirs = (self.loads(workload, connections, system) for system in (ours_is, peer))
        return [ours[r].good_rate / theirs[r].good_rate for r in ours if r in theirs and theirs[r].good_rate]


def write(run: Run, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")


def read(path: Path) -> Run:
    return msgspec.json.decode(path.read_bytes(), type=Run)


def spread(values: Sequence[float]) -> str:
    """The median, with the range in brackets."""
    if not values:
        return "-"
    middle = f"{statistics.median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f}-{max(values):.2f})"


def median_of(loads: Iterable[Load], value: Callable[[Load], float]) -> float:
    return statistics.median(value(load) for load in loads)


def case_table(run: Run, workload: str, connections: int) -> Table:
    """The systems, the fastest first; then those that could not run."""
    measured = [(name, list(run.loads(workload, connections, name).values())) for name in SYSTEMS]
    present = [(name, loads) for name, loads in measured if loads]
    present.sort(key=lambda each: -median_of(each[1], lambda load: load.good_rate))
    rows: list[Sequence[Cell]] = []
    for name, loads in present:
        ratio = "" if name == OURS else spread(run.ratios(workload, connections, name))
        rows.append(
            (
                SYSTEMS[name].title,
                median_of(loads, lambda load: load.good_rate),
                median_of(loads, lambda load: load.p50),
                median_of(loads, lambda load: load.p99),
                sum(load.not_ok for load in loads),
                sum(load.broken for load in loads),
                ratio,
            )
        )
    failed = {each.system: each.reason for each in run.failures if each.workload == workload}
    absent = [name for name in failed if name not in dict(present)]
    rows.extend((SYSTEMS[name].title, "could not run, see below", *[None] * 5) for name in absent)
    head = ("system", "answers/s", "p50 ms", "p99 ms", "defaults, errors", "broken", "Clipper / it")
    return Table(f"{workload}, {connections} connections", head, rows)


@dataclass(frozen=True, slots=True)
class Target:
    """What our throughput over that of a system must be; ``and_p99``: at a lower p99, too."""

    workload: str
    connections: int
    peer: str
    least: float
    and_p99: bool = False

    def row(self, run: Run) -> Sequence[Cell] | None:
        found = [run.ratios(self.workload, self.connections, self.peer, ours) for ours in SET_UPS]
        if not any(found):
            return None
        reached = any(self._is_reached(run, ours) for ours in SET_UPS)
        what = f"{self.workload}, {self.connections} connections, against {SYSTEMS[self.peer].title}"
        least = f"{self.least:.2f}" + (" and a lower p99" if self.and_p99 else "")
        return what, least, *map(spread, found), "yes" if reached else "no"

    def _is_reached(self, run: Run, ours_is: str) -> bool:
        found = run.ratios(self.workload, self.connections, self.peer, ours_is)
        if not found or statistics.median(found) < self.least:
            return False
        ours, theirs = (
            median_of(run.loads(self.workload, self.connections, name).values(), lambda load: load.p99)
            for name in (ours_is, self.peer)
        )
        return ours < theirs or not self.and_p99


TARGETS = [
    *(
        Target("sum", connections, peer, 2.0, and_p99=True)
        for peer in ("mosec", "mosec_2")
        for connections in (64, 256)
    ),
    *(Target("sum", connections, "triton", 4.0) for connections in (64, 256)),
    *(
        Target("sum", connections, peer, 5.0)
        for peer in ("litserve", "bentoml", "ray_serve", "mlserver", "fastapi", "fastapi_2")
        for connections in (64, 256)
    ),
    *(Target("sum", connections, "prototype", 0.75) for connections in (64, 256)),
    Target("no-op-784", 64, "mosec", 1.5),
]


MOST_LOW_LOAD = 1.5
"""What our p50 at one connection may be, as a multiple of that of the bare two-process echo."""


def low_load_row(run: Run) -> Sequence[Cell] | None:
    theirs = run.loads("sum", 1, "relay")
    found = []
    for system in SET_UPS:
        ours = run.loads("sum", 1, system)
        found.append([ours[r].p50 / theirs[r].p50 for r in ours if r in theirs])
    if not any(found):
        return None
    reached = "yes" if any(each and statistics.median(each) <= MOST_LOW_LOAD for each in found) else "no"
    what = "sum, 1 connection: p50 to that of the bare two-process echo"
    return what, f"at most {MOST_LOW_LOAD}", *map(spread, found), reached


def targets_table(run: Run) -> Table:
    """Throughput over that of each system, and the latency at low load."""
    rows = [*(target.row(run) for target in TARGETS), low_load_row(run)]
    head = ("throughput to that of another", "at least", "one frontend", "two frontends", "reached")
    return Table("What it must reach", head, [row for row in rows if row is not None])


def systems_table(run: Run) -> Table:
    rows = [
        (
            system.title,
            ", ".join(f"{name} {version}" for name, version in run.versions[system.name].items()),
            system.note,
        )
        for system in SYSTEMS.values()
        if system.name in run.versions
    ]
    return Table("The systems", ("system", "versions", "set up"), rows)


def failures_table(run: Run) -> Table:
    rows = [(SYSTEMS[each.system].title, each.workload, each.reason.replace("|", "/")) for each in run.failures]
    return Table("Could not run", ("system", "workload", "reason"), rows)


def remarks(run: Run) -> str:
    about = run.about
    return (
        f"{about['generator']}, closed loop; {about['rounds']} rounds of {about['seconds']} s, the systems in turn "
        "in each. Every system runs the same function on the same input, sent as JSON. Answers/s are those with an "
        "output, neither default nor error. Medians over the rounds; the ratio is taken within each round, its range "
        "in brackets."
    )


def results(run: Run) -> list[Result]:
    """What all systems run, and the rest."""
    compared = [case for case in run.cases() if case[0] in COMPARED]
    others = [case for case in run.cases() if case[0] not in COMPARED]
    notes = (systems_table(run), *([failures_table(run)] if run.failures else []))
    made = []
    if compared or (run.failures and not others):
        tables = (targets_table(run), *(case_table(run, *case) for case in compared), *notes)
        draw = bars(run, compared) if compared else None
        made.append(Result("peers", "Clipper beside its peers", remarks(run), tables, draw))
    if others:
        tables = (*(case_table(run, *case) for case in others), *notes)
        made.append(Result("models", "Models and inputs", remarks(run), tables, bars(run, others)))
    return made


def bars(run: Run, cases: list[tuple[str, int]]) -> Callable[[Any], None]:
    """Answers a second: a group of bars for each case, a colour for each system."""
    colors = dict(zip(SYSTEMS, colormaps["tab20"].colors, strict=False))  # type: ignore[attr-defined]
    systems = [name for name in SYSTEMS if any(run.loads(*case, name) for case in cases)]

    def draw(axes: Any) -> None:
        height = 0.8 / len(systems)
        for index, name in enumerate(systems):
            rates = [[load.good_rate for load in run.loads(*case, name).values()] for case in cases]
            middles = [statistics.median(each) if each else 0.0 for each in rates]
            places = [number + index * height for number in range(len(cases))]
            axes.barh(places, middles, height, label=SYSTEMS[name].title, color=colors[name])
        axes.set_yticks([number + 0.4 for number in range(len(cases))], [f"{w}, {c}" for w, c in cases])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlabel("answers a second (log), by workload and connections")
        axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))

    return draw


def render(run: Run, folder: Path) -> list[Result]:
    """Writes the Markdown, the tables as JSON, and the pictures."""
    made = results(run)
    for result in made:
        publish(result, folder, run.about)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the JSON file of a run")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    render(read(options.run), options.results)


if __name__ == "__main__":
    main()
