"""The containers in Python, Java and R on the same work: ``python -m benchmarks.containers [--quick]``.

One cluster with one query frontend and an application for each container; each adds up the same ten doubles.
They stay up together, as they cost next to nothing while nobody asks, and take turns, round after round
(A B C A B C), so that a slow minute of the machine slows all. Writes ``benchmarks/results/containers.md``; a quick
run only prints.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from benchmarks.figures.cluster import cluster
from benchmarks.figures.tables import RESULTS, Cell, Result, Table, about, markdown
from benchmarks.load import BODY, Load, generator_name, measure
from benchmarks.servers import end_all_on_sigterm
from benchmarks.workloads import TEN_DOUBLES
from clipper_admin import ClipperConnection
from clipper_admin.deployers import java, python, r

CONNECTIONS = 64
SLO_MICROS = 100_000
WARM_UP_SECONDS = 3.0
"""The JVM compiles meanwhile, and the size of batches is learned."""
PATIENCE = 60.0
JAVA_SOURCES = Path(__file__).parents[1] / "containers" / "java" / "clipper"
JAVA = """
import clipper.Inputs;
import clipper.Model;
import java.util.ArrayList;
import java.util.List;

public final class Total implements Model {
    public List<String> predict(Inputs inputs) {
        List<String> outputs = new ArrayList<>(inputs.size());
        for (int index = 0; index < inputs.size(); index++) {
            double total = 0;
            for (double each : inputs.doubles(index)) total += each;
            outputs.add(String.valueOf(total));
        }
        return outputs;
    }
}
"""
TITLES = {"python": "Python", "java": "Java", "r": "R"}
R = "function(inputs) vapply(inputs, sum, 0)\n"

Deploy = Callable[[ClipperConnection, str, Path], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a round found of a container."""

    container: str
    load: Load


def deploy_python(connection: ClipperConnection, name: str, folder: Path) -> None:
    def total(inputs: Any) -> list[float]:
        return [sum(each) for each in inputs.tolist()]  # floats of Python add up faster than those of numpy

    python.deploy_python_closure(connection, name, 1, "doubles", total)


def deploy_java(connection: ClipperConnection, name: str, folder: Path) -> None:
    (folder / "Total.java").write_text(JAVA)
    files = [*map(str, sorted(JAVA_SOURCES.glob("*.java"))), str(folder / "Total.java")]
    subprocess.run(["javac", "-d", str(folder / "all"), *files], check=True, timeout=PATIENCE)
    (folder / "classes").mkdir()
    (folder / "all" / "Total.class").rename(folder / "classes" / "Total.class")
    java.deploy_java_class(connection, name, 1, "doubles", folder / "classes", "Total")


def deploy_r(connection: ClipperConnection, name: str, folder: Path) -> None:
    (folder / "total.R").write_text(R)
    r.deploy_r_function(connection, name, 1, "doubles", folder / "total.R")


CONTAINERS: dict[str, Deploy] = {"python": deploy_python, "java": deploy_java, "r": deploy_r}


def serve(connection: ClipperConnection, name: str) -> str:
    """Deploys a container and an application for it; its URL, once it has answered rightly."""
    with tempfile.TemporaryDirectory() as folder:
        CONTAINERS[name](connection, name, Path(folder))
    connection.register_application(name, "doubles", "-1", SLO_MICROS)
    connection.link_model_to_app(name, name)
    url = f"http://{connection.get_query_addr()}/{name}/predict"
    end = time.monotonic() + PATIENCE
    while not is_right(url):
        if time.monotonic() > end:
            raise RuntimeError(f"the container in {name} gave no right answer in {PATIENCE:g} s")
        time.sleep(0.05)
    return url


def is_right(url: str) -> bool:
    answer = requests.post(url, data=BODY, timeout=PATIENCE)
    told = answer.json() if answer.status_code == 200 else {"default": True}
    return not told["default"] and abs(told["output"] - sum(TEN_DOUBLES)) < 1e-6


def compare(names: Sequence[str], seconds: float, rounds: int) -> list[Sample]:
    found = []
    with cluster() as connection:
        urls = {name: serve(connection, name) for name in names}
        for url in urls.values():
            measure(url, CONNECTIONS, min(WARM_UP_SECONDS, seconds))
        for number in range(1, rounds + 1):
            for name, url in urls.items():
                load = measure(url, CONNECTIONS, seconds)
                found.append(Sample(name, load))
                print(f"round {number} {name:6}: {load}", file=sys.stderr, flush=True)
    return found


def result(samples: Sequence[Sample], seconds: float, rounds: int) -> Result:
    remarks = (
        f"The sum of ten doubles over {CONNECTIONS} connections (closed loop, {generator_name()}), {rounds} rounds "
        f"of {seconds:g} s; medians of the rounds, and the range of their rates. One query frontend, one replica of "
        "each, cache off, batches learned. The container in R speaks TCP, the others Unix sockets."
    )
    head = ("container", "predictions/s", "least", "most", "P50 ms", "P99 ms", "not a prediction", "broken")
    loads = {
        each.container: [other.load for other in samples if other.container == each.container] for each in samples
    }
    rows = [row(name, found) for name, found in loads.items()]
    return Result("containers", "Containers in three languages", remarks, (Table("Throughput", head, rows),))


def row(name: str, loads: Sequence[Load]) -> tuple[Cell, ...]:
    rates = [each.good_rate for each in loads]
    p50, p99 = (statistics.median(getattr(each, what) for each in loads) for what in ("p50", "p99"))
    not_ok, broken = (sum(getattr(each, what) for each in loads) for what in ("not_ok", "broken"))
    return TITLES[name], statistics.median(rates), min(rates), max(rates), p50, p99, not_ok, broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CONTAINERS, metavar="NAME", help=f"of {', '.join(CONTAINERS)}")
    parser.add_argument("--seconds", type=float, help="of each measurement (5; quick: 1)")
    parser.add_argument("--rounds", type=int, help="how often each is measured (5; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="every piece of the code, for a second or so")
    parser.add_argument("--results", type=Path, help=f"where to write (default: {RESULTS}; quick: nowhere)")
    options = parser.parse_args()
    end_all_on_sigterm()
    quick = options.quick
    seconds, rounds = options.seconds or (1.0 if quick else 5.0), options.rounds or (1 if quick else 5)
    found = result(compare(options.only or tuple(CONTAINERS), seconds, rounds), seconds, rounds)
    text = markdown(found, about(quick))
    folder = options.results or (None if quick else RESULTS)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "containers.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
