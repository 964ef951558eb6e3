"""A real cluster on this machine for the figures: processes, free ports, files in a folder that goes with it."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
import psutil
import requests
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.figures import models
from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as python_deployer

NOTICE_SECONDS = 10.0
"""A frontend hears of a change within a fraction of a second; after this time something is wrong."""


@contextlib.contextmanager
def cluster(cache_size: int = 0, frontends: int = 1) -> Iterator[ClipperConnection]:
    cloudpickle.register_pickle_by_value(models)  # else every container would carry our whole source
    logging.getLogger("clipper_admin").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as home:
        connection = ClipperConnection(LocalContainerManager("figures", 0, 0, 0, home=home))
        connection.start_clipper(cache_size=cache_size, num_frontend_replicas=frontends)
        try:
            yield connection
        finally:
            connection.stop_all(graceful=False)


def deploy(connection: ClipperConnection, name: str, predict: models.Predict, **options: Any) -> None:
    """``options`` are those of ``deploy_python_closure``: batch_size, batching, batch_delay_micros, num_replicas."""
    python_deployer.deploy_python_closure(connection, name, 1, "doubles", predict, **options)


def serve(connection: ClipperConnection, app: str, names: Sequence[str], slo_micros: int, body: bytes) -> str:
    """Registers an application that asks the named models, of which several vote; its URL, once it answers."""
    policy = "single" if len(names) == 1 else "majority_vote"
    connection.register_application(app, "doubles", "-1", slo_micros, selection_policy=policy)
    for name in names:
        connection.link_model_to_app(app, name)
    url = f"http://{connection.get_query_addr()}/{app}/predict"
    _wait(lambda: _knows(url, body, len(names)), f"{app} to answer by {len(names)} models")
    return url


def _knows(url: str, body: bytes, names: int) -> bool:
    answer = requests.post(url, data=body, timeout=NOTICE_SECONDS)
    told = answer.json() if answer.status_code == 200 else {}
    if told.get("default") or "output" not in told:
        return False
    return names == 1 or len(told.get("models", ())) > 0


def _wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + NOTICE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {NOTICE_SECONDS:g} s in vain for {what}")
        time.sleep(0.02)


def as_json(values: Sequence[float] | np.ndarray[Any, Any]) -> bytes:
    """A predict body; whole numbers are written as such, which is how short a digit's 784 doubles can be."""
    listed = np.asarray(values).tolist()
    return json.dumps({"input": [int(x) if x == int(x) else x for x in listed]}, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Counts:
    """What the frontends have counted of one model so far."""

    batches: float
    queries: float
    hits: float
    misses: float

    def mean_batch(self, before: Counts) -> float:
        """Queries a batch since ``before``; 0.0 if there was none."""
        batches = self.batches - before.batches
        return (self.queries - before.queries) / batches if batches else 0.0

    def hit_ratio(self, before: Counts) -> float:
        hits, misses = self.hits - before.hits, self.misses - before.misses
        return hits / (hits + misses) if hits + misses else 0.0


def counts(connection: ClipperConnection, model: str) -> Counts:
    page = requests.get(f"http://{connection.get_query_addr()}/metrics", timeout=NOTICE_SECONDS).text
    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.labels.get("model") == model:
                found[sample.name, sample.labels.get("result", "")] = sample.value
    return Counts(
        batches=found.get(("clipper_batch_size_count", ""), 0.0),
        queries=found.get(("clipper_batch_size_sum", ""), 0.0),
        hits=found.get(("clipper_cache_lookups_total", "hit"), 0.0),
        misses=found.get(("clipper_cache_lookups_total", "miss"), 0.0),
    )


@contextlib.contextmanager
def echo() -> Iterator[str]:
    """The raw uvloop + httptools echo, ``benchmarks/floor.py``; its URL."""
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


def processes(connection: ClipperConnection, word: str) -> list[psutil.Process]:
    """The cluster's processes whose command line has ``word`` in it."""
    home = str(connection.cm.home)  # type: ignore[attr-defined]
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if home in line and word in line:
            found.append(process)
    return found


def cpu_seconds(among: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in among))


def workers(connection: ClipperConnection) -> list[psutil.Process]:
    """The query frontends and the model containers."""
    return processes(connection, "clipper.frontend.server") + processes(connection, "clipper-container")
