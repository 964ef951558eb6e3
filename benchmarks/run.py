"""The sum model behind Clipper, beside the bare echo: ``python -m benchmarks.run [--seconds 3] [--rounds 3]``.

Writes ``benchmarks/results/<date>-sum.json`` and the table ``benchmarks/results/sum.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from benchmarks.load import Load, generator_name, measure
from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as python_deployer

RESULTS = Path(__file__).parent / "results"
CONNECTIONS = (1, 8, 64, 256)
PROTOTYPE_RATIO = {64: 27_300 / 50_600, 256: 29_200 / 50_600}
"""DESIGN section 10: the prototype's throughput over that of the echo, by connections."""


def feature_sum(inputs):
    return [str(sum(x)) for x in inputs.tolist()]


@contextlib.contextmanager
def clipper_sum() -> Iterator[str]:
    """A cluster with the sum model, its cache off; gives the URL."""
    with tempfile.TemporaryDirectory() as home:
        connection = ClipperConnection(LocalContainerManager("bench", 0, 0, 0, home=home))
        connection.start_clipper(cache_size=0)
        try:
            connection.register_application("sum", "doubles", "-1.0", 100_000)
            python_deployer.deploy_python_closure(connection, "sum-model", 1, "doubles", feature_sum)
            connection.link_model_to_app("sum", "sum-model")
            yield f"http://{connection.get_query_addr()}/sum/predict"
        finally:
            connection.stop_all()


@contextlib.contextmanager
def bare_echo() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.floor", str(port)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(10)


def compare(seconds: float, rounds: int) -> dict[str, dict[int, list[Load]]]:
    """Both systems in turn, round after round, so that a slow minute of the machine slows both."""
    found: dict[str, dict[int, list[Load]]] = {name: {c: [] for c in CONNECTIONS} for name in ("clipper", "echo")}
    with clipper_sum() as clipper, bare_echo() as echo:
        for url in (clipper, echo):
            measure(url, 64, 2)
        for number in range(rounds):
            for connections in CONNECTIONS:
                for name, url in (("clipper", clipper), ("echo", echo)):
                    load = measure(url, connections, seconds)
                    found[name][connections].append(load)
                    print(f"round {number + 1} {name:8} {connections:4} connections: {load}", flush=True)
    return found


def ratios(found: dict[str, dict[int, list[Load]]], connections: int) -> list[float]:
    pairs = zip(found["clipper"][connections], found["echo"][connections], strict=True)
    return [clipper.rate / echo.rate for clipper, echo in pairs]


def table(found: dict[str, dict[int, list[Load]]], about: dict[str, object]) -> str:
    lines = [
        "# Sum of ten doubles, JSON in and out, cache off, beside the bare uvloop + httptools echo",
        "",
        f"{about['date']}, {about['machine']}, {about['cores']} cores, Python {about['python']}, "
        f"{about['generator']}, {about['rounds']} rounds of {about['seconds']} s. "
        "Medians; the ratio's range in brackets.",
        "",
        "| connections | Clipper requests/s | p50 ms | p99 ms | defaults | echo requests/s "
        "| ratio | of the prototype's |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for connections in CONNECTIONS:
        clipper, echo = found["clipper"][connections], found["echo"][connections]
        share = ratios(found, connections)
        middle = statistics.median(share)
        of_prototype = f"{middle / PROTOTYPE_RATIO[connections]:.0%}" if connections in PROTOTYPE_RATIO else "-"
        lines.append(
            f"| {connections} | {statistics.median(x.rate for x in clipper):,.0f} "
            f"| {statistics.median(x.p50 for x in clipper):.2f} | {statistics.median(x.p99 for x in clipper):.2f} "
            f"| {sum(x.not_ok for x in clipper)} | {statistics.median(x.rate for x in echo):,.0f} "
            f"| {middle:.2f} ({min(share):.2f}-{max(share):.2f}) | {of_prototype} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = compare(options.seconds, options.rounds)
    about: dict[str, object] = {
        "date": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "generator": generator_name(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "versions": {name: version(name) for name in ("clipper-serving", "uvloop", "httptools", "msgspec", "numpy")},
    }
    options.results.mkdir(parents=True, exist_ok=True)
    raw = {name: {str(c): [asdict(x) for x in loads] for c, loads in by.items()} for name, by in found.items()}
    path = options.results / f"{about['date']}-sum.json"
    path.write_text(json.dumps({"about": about, "loads": raw}, indent=1) + "\n")
    text = table(found, about)
    (options.results / "sum.md").write_text(text)
    print("\n" + text)


if __name__ == "__main__":
    main()
