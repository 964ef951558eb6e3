"""Large inputs: throughput, and what they do to small queries beside them: ``python -m benchmarks.large``.

A real local cluster with two applications on one query frontend: one gets large bodies, as JSON and as binary, the
other small queries. First each body is sent as fast as answers come back. Then, while one large body after the other
is sent with pauses (so that the machine is not full), small queries are timed. How long the frontend's event loop
stands still is measured in CPU time (``turns.py``), too. Writes ``benchmarks/results/large.md``.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import datetime
import functools
import json
import multiprocessing
import os
import platform
import random
import socket
import statistics
import struct
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Answer, request, target
from benchmarks.load import Load, measure
from benchmarks.turns import connect, longest
from clipper.frontend.codec import PredictDecoder
from clipper.rpc.wire import InputType
from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as python_deployer

RESULTS = Path(__file__).parent / "results"
JSON, OCTETS, BATCH = "application/json", "application/octet-stream", "application/x-clipper-batch"
IMAGE_BYTES = 224 * 224 * 3
SLO_MICROS = 2_000_000
PAUSE_SECONDS = 0.05
PROBE_SECONDS = 0.002
TIMES = 30
"""Bodies sent to see the longest turns of the loop."""
ALONE = "nothing"


@dataclass(frozen=True, slots=True)
class Case:
    """A body for the application ``app``, sent by many at once over ``connections``."""

    name: str
    app: str
    body: bytes
    content_type: str
    connections: int = 8

    @property
    def decode_seconds(self) -> float:
        """What the frontend's loop would stand still for if it read the body in one go; 0 for binary bodies."""
        if self.content_type != JSON:
            return 0.0
        decoder = PredictDecoder(InputType(self.app))
        return min(_timed(lambda: decoder.decode(self.body)) for _ in range(5))


def cases() -> list[Case]:
    found = []
    for count in (784, 3_072, 150_528):
        values = [random.random() for _ in range(count)]
        connections = 64 if count < 10_000 else 8
        data = struct.pack(f"<{count}d", *values)
        found.append(Case(f"{count:,} doubles, JSON", "doubles", _json(values), JSON, connections))
        found.append(Case(f"{count:,} doubles, binary", "doubles", data, OCTETS, connections))
    values = [random.random() for _ in range(784)]
    rows = [values] * 192
    found.append(Case("192 x 784 doubles, JSON", "doubles", _json(rows, "input_batch"), JSON))
    data = struct.pack("<193I", 192, *[8 * 784] * 192) + struct.pack("<784d", *values) * 192
    found.append(Case("192 x 784 doubles, binary", "doubles", data, BATCH))
    image = random.randbytes(IMAGE_BYTES)
    found.append(Case("image 224x224x3, base64", "bytes", _json(base64.b64encode(image).decode()), JSON))
    found.append(Case("image 224x224x3, binary", "bytes", image, OCTETS))
    return found


def _json(value: object, key: str = "input") -> bytes:
    return json.dumps({key: value}).encode()


def _timed(action) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def size_of(inputs):
    return [str(len(each)) for each in inputs]


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """Applications named after their input type, and ``small``, each with a model; gives the address."""
    with tempfile.TemporaryDirectory() as home:
        connection = ClipperConnection(LocalContainerManager("large", 0, 0, 0, home=home))
        connection.start_clipper(cache_size=0)
        try:
            for app, input_type in (("doubles", "doubles"), ("bytes", "bytes"), ("small", "doubles")):
                connection.register_application(app, input_type, "-1.0", SLO_MICROS)
                python_deployer.deploy_python_closure(connection, f"{app}-model", 1, input_type, size_of)
                connection.link_model_to_app(app, f"{app}-model")
            yield f"http://{connection.get_query_addr()}"
        finally:
            connection.stop_all()


class Client:
    """One connection that asks, waits, and notes how long it took."""

    def __init__(self, url: str, body: bytes, content_type: str) -> None:
        to = target(url)
        self._request = request(to, body, content_type)
        self._socket = connect(f"{to.host}:{to.port}")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> float:
        """Seconds until the answer, which must be the model's."""
        started = time.perf_counter()
        self._socket.sendall(self._request)
        answer = Answer()
        while not answer.feed(self._socket.recv(65_536)):
            pass
        seconds = time.perf_counter() - started
        assert answer.status == 200, answer.body
        assert not answer.is_default, answer.body
        return seconds


def send_some(case: Case, address: str) -> None:
    client = Client(f"http://{address}/{case.app}/predict", case.body, case.content_type)
    for _ in range(TIMES):
        client.ask()
        time.sleep(0.005)


def turns(case: Case) -> list[float]:
    """Milliseconds of the longest turns of a frontend's loop while the body comes a few times, the longest first."""
    found = [seconds * 1e3 for seconds in longest(functools.partial(send_some, case), case.app)]
    print(f"longest turns, {case.name}: {' '.join(f'{each:.2f}' for each in found[:5])} ms", flush=True)
    return found


def feed(url: str, body: bytes, content_type: str) -> None:
    """Sends large bodies, one after the other, until it is ended. Run as a process."""
    client = Client(url, body, content_type)
    while True:
        client.ask()
        time.sleep(PAUSE_SECONDS)


def probe(address: str, seconds: float, beside: Case | None) -> list[float]:
    """The latencies of small queries, in milliseconds, in order of size, while bodies of ``beside`` are sent."""
    feeder = None
    if beside is not None:
        url = f"{address}/{beside.app}/predict"
        feeder = multiprocessing.Process(target=feed, args=(url, beside.body, beside.content_type), daemon=True)
        feeder.start()
    try:
        client = Client(f"{address}/small/predict", b'{"input": [1.0, 2.0]}', JSON)
        for _ in range(100):
            client.ask()
        latencies = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            latencies.append(client.ask() * 1e3)
            time.sleep(PROBE_SECONDS)
        assert feeder is None or feeder.is_alive(), "the large bodies were not answered"
    finally:
        if feeder is not None:
            feeder.terminate()
            feeder.join()
    return sorted(latencies)


def at(latencies: Sequence[float], share: float) -> float:
    return latencies[min(len(latencies) - 1, int(share * len(latencies)))]


def compare(address: str, seconds: float, rounds: int) -> tuple[dict[str, list[Load]], dict[str, list[list[float]]]]:
    """Loads and small queries' latencies, by the name of the case, one a round."""
    loads: dict[str, list[Load]] = {}
    stalls: dict[str, list[list[float]]] = {}
    for number in range(rounds):
        for case in CASES:
            url = f"{address}/{case.app}/predict"
            load = measure(url, case.connections, seconds, case.body, case.content_type)
            loads.setdefault(case.name, []).append(load)
            print(f"round {number + 1} {case.name}: {load}", flush=True)
        for case_beside in (None, *CASES):
            name = ALONE if case_beside is None else case_beside.name
            latencies = probe(address, seconds, case_beside)
            stalls.setdefault(name, []).append(latencies)
            print(
                f"round {number + 1} beside {name}: p99 {at(latencies, 0.99):.2f} max {latencies[-1]:.2f} ms",
                flush=True,
            )
    return loads, stalls


CASES = cases()


def header(options: argparse.Namespace) -> str:
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return (
        f"# Large inputs\n\n{datetime.date.today().isoformat()}, {machine}, {options.rounds} rounds of "
        f"{options.seconds:g} s; medians of the rounds. One query frontend, models that only look at the size of "
        "their inputs, cache off.\n"
    )


def throughput(loads: dict[str, list[Load]]) -> str:
    lines = ["## Throughput", ""]
    lines += ["| body | KB | connections | requests/s | MB/s | p50 ms | p99 ms | not a prediction |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for case in CASES:
        found = loads[case.name]
        rate = statistics.median(x.rate for x in found)
        p50, p99 = (statistics.median(getattr(x, name) for x in found) for name in ("p50", "p99"))
        lines.append(
            f"| {case.name} | {len(case.body) / 1e3:,.0f} | {case.connections} | {rate:,.0f} "
            f"| {rate * len(case.body) / 1e6:,.0f} | {p50:.2f} | {p99:.2f} "
            f"| {sum(x.not_ok + x.broken for x in found)} |"
        )
    return "\n".join(lines) + "\n"


def standstill(found: dict[str, list[float]]) -> str:
    lines = ["## How long the loop stands still", ""]
    lines += [
        f"The longest turns of the frontend's event loop while a body comes {TIMES} times, in CPU time: all that is"
    ]
    lines += [
        "done between two looks at the sockets, reading, parsing and sending on included. The last column is what"
    ]
    lines += ["the parsing of a JSON body would take in one go.", ""]
    lines += ["| body | longest ms | second | fifth | turns over 2 ms | in one go ms |", "|---|---|---|---|---|---|"]
    for case in CASES:
        turns = [*found[case.name], 0.0, 0.0, 0.0, 0.0, 0.0]
        lines.append(
            f"| {case.name} | {turns[0]:.2f} | {turns[1]:.2f} | {turns[4]:.2f} | {sum(x > 2 for x in turns)} "
            f"| {case.decode_seconds * 1e3:.2f} |"
        )
    return "\n".join(lines) + "\n"


def beside(stalls: dict[str, list[list[float]]]) -> str:
    lines = ["## Small queries beside them", ""]
    lines += [
        "Queries of two doubles to another application of the same frontend, one after the other with pauses of"
    ]
    lines += [f"{PROBE_SECONDS * 1e3:g} ms, while large bodies are sent one after the other with pauses of"]
    lines += [f"{PAUSE_SECONDS * 1e3:g} ms. On two cores, client, frontend and two models take turns.", ""]
    lines += ["| large bodies | p50 ms | p99 ms | p99.9 ms | max ms |", "|---|---|---|---|---|"]
    for name, rounds in stalls.items():
        figures = (statistics.median(at(x, share) for x in rounds) for share in (0.5, 0.99, 0.999, 1.0))
        lines.append(f"| {name} | {' | '.join(f'{x:.2f}' for x in figures)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    still = {case.name: turns(case) for case in CASES}
    with cluster() as address:
        loads, stalls = compare(address, options.seconds, options.rounds)
    text = "\n".join((header(options), throughput(loads), standstill(still), beside(stalls)))
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "large.md").write_text(text)
    print("\n" + text)


if __name__ == "__main__":
    main()
