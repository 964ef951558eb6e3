"""Clipper and its peers on the same work, in one run: ``python -m benchmarks.run``.

Systems take turns, round after round (A B A B), so that a slow minute of the machine slows all. Those that cost
nothing while nobody asks stay up together; the others are started for their turn and ended after it. Writes
``<date>-peers.json`` with everything measured and, rendered from it, ``peers.md`` and ``models.md`` with pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import report
from benchmarks.environments import CannotRun, installed_versions
from benchmarks.figures.tables import RESULTS, about, markdown
from benchmarks.load import generator_name, measure
from benchmarks.peers import SYSTEMS, System
from benchmarks.report import Failure, Run, Sample
from benchmarks.servers import Server, end_all_on_sigterm, serving
from benchmarks.workloads import WORKLOADS

CONNECTIONS = {"sum": (1, 64, 256), "no-op-784": (64, 256)}
OTHERWISE = (64,)
WARM_UP_SECONDS = 2.0
QUICK_SYSTEMS = ("clipper", "clipper_2", "prototype", "relay", "echo", "mosec", "fastapi")
QUICK_WORKLOADS = ("sum", "no-op-784")


@dataclass(frozen=True, slots=True)
class Plan:
    systems: Sequence[str]
    workloads: Sequence[str]
    seconds: float
    rounds: int


@dataclass
class Comparison:
    """A run as it goes on: what was found, and what could not run."""

    plan: Plan
    samples: list[Sample] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)

    def run(self) -> None:
        for workload in self.plan.workloads:
            able = [SYSTEMS[name] for name in self.plan.systems if workload in SYSTEMS[name].workloads]
            self._compare(workload, able)

    def _compare(self, workload: str, systems: Sequence[System]) -> None:
        heavy = [each for each in systems if not each.light]
        with contextlib.ExitStack() as stack:
            light = [server for each in systems if each.light for server in self._started(stack, each, workload)]
            for number in range(1, self.plan.rounds + 1):
                self._take_turns(workload, number, light)
                for each in list(heavy):
                    with contextlib.ExitStack() as turn:
                        started = self._started(turn, each, workload)
                        self._take_turns(workload, number, started)
                    if not started:
                        heavy.remove(each)  # it would fail in the next round as well, and take its time

    def _started(self, stack: contextlib.ExitStack, system: System, workload: str) -> list[Server]:
        """The server, warmed up; nothing if it can't run, which is noted."""
        with self._noting(system, workload):
            server = stack.enter_context(serving(system, workload))
            measure(server.url, 64, min(WARM_UP_SECONDS, self.plan.seconds), server.body)
            packages = [each.partition("=")[0].partition("[")[0] for each in system.requirements]
            self.versions[system.name] = installed_versions(server.python, packages or ["clipper-serving", "uvloop"])
            return [server]
        return []

    def _take_turns(self, workload: str, number: int, servers: Sequence[Server]) -> None:
        for connections in CONNECTIONS.get(workload, OTHERWISE):
            for server in servers:
                with self._noting(server.system, workload):
                    load = measure(server.url, connections, self.plan.seconds, server.body)
                    self.samples.append(Sample(workload, server.system.name, connections, number, load))
                    _say(f"{workload} {number} {server.system.name:10} {connections:4} connections: {load}")

    @contextlib.contextmanager
    def _noting(self, system: System, workload: str) -> Iterator[None]:
        try:
            yield
        except (CannotRun, RuntimeError) as error:
            self.failures.append(Failure(workload, system.name, str(error)))
            _say(f"{workload}: {system.title} could not run: {error}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, metavar="NAME", help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument(
        "--workloads", nargs="+", choices=WORKLOADS, metavar="NAME", help=f"of {', '.join(WORKLOADS)}"
    )
    parser.add_argument("--seconds", type=float, help="of each measurement (3; quick: 1)")
    parser.add_argument("--rounds", type=int, help="how often each is measured (3; quick: 1)")
    parser.add_argument(
        "--quick", action="store_true", help=f"{', '.join(QUICK_SYSTEMS)} on {', '.join(QUICK_WORKLOADS)}"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    end_all_on_sigterm()
    quick = options.quick
    plan = Plan(
        options.only or (QUICK_SYSTEMS if quick else tuple(SYSTEMS)),
        options.workloads or (QUICK_WORKLOADS if quick else tuple(WORKLOADS)),
        options.seconds or (1.0 if quick else 3.0),
        options.rounds or (1 if quick else 3),
    )
    comparison = Comparison(plan)
    comparison.run()
    conditions = {**about(quick), "generator": generator_name(), "seconds": plan.seconds, "rounds": plan.rounds}
    run = Run(conditions, comparison.versions, comparison.samples, comparison.failures)
    report.write(run, options.results / f"{conditions['date']}-peers.json")
    for result in report.render(run, options.results):
        print(markdown(result, conditions))


if __name__ == "__main__":
    main()
