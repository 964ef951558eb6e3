"""Open-loop load: Poisson arrivals at a fixed rate, latencies counted from the intended send times.

Requests leave when they are due, whether or not earlier ones were answered: a server that falls behind sees the load
of many independent clients, not of clients that wait for it, and a late send counts as the server's lateness (no
coordinated omission). The generator is a process of its own, ``benchmarks.generator``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.environments import ROOT
from benchmarks.generator import DEFAULT, DRAIN_SECONDS, ERROR, OK, Plan, Report

MAX_REQUESTS = 5_000_000


@dataclass(frozen=True, slots=True)
class OpenLoad:
    """What became of every request. ``offered == ok + defaults + errors``; times are in milliseconds.

    ``completed`` requests were answered, with whatever status. An error is a status other than 200, a broken
    connection, or no answer ``DRAIN_SECONDS`` after the last request; its latency is the time until that was known.
    ``send_lag_p99`` says how late the generator itself was: a large one means that it could not keep the rate, or
    that all of its ``connections`` (the most that were open) were busy.
    """

    offered: int
    completed: int
    ok: int
    defaults: int
    errors: int
    seconds: float
    p50: float
    p99: float
    p999: float
    send_lag_p99: float
    connections: int
    latencies: npt.NDArray[np.float64]
    """Of every request, in the order of the intended send times."""
    outcomes: npt.NDArray[np.uint8]
    """The same order: OK, DEFAULT or ERROR."""

    @property
    def default_share(self) -> float:
        return self.defaults / max(1, self.offered)

    def goodput(self, slo: float) -> float:
        """Answers a second that are no default and came within ``slo`` milliseconds of their intended send time."""
        return int(np.count_nonzero((self.outcomes == OK) & (self.latencies <= slo))) / self.seconds


def run(
    url: str,
    body: bytes | Sequence[bytes],
    rate: float,
    seconds: float,
    *,
    connections: int = 64,
    seed: int = 0,
    content_type: str = "application/json",
) -> OpenLoad:
    """POSTs ``body`` (several take turns) ``rate`` times a second at Poisson times, for ``seconds``.

    ``connections`` are open from the start; when all are busy more are opened, up to ``MAX_CONNECTIONS``.

    Raises:
        ValueError: the run would be longer than ``MAX_REQUESTS``.
        RuntimeError: the generator failed, with its last words (nothing listens there, say).
    """
    if not 0 < rate * seconds <= MAX_REQUESTS:
        raise ValueError(
            f"{rate} requests/s for {seconds} s is not between 1 and {MAX_REQUESTS} requests: ask for less"
        )
    bodies = [body] if isinstance(body, bytes) else list(body)
    plan = Plan(url, bodies, content_type, rate, seconds, connections, seed)
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.generator"],
        input=msgspec.msgpack.encode(plan),
        capture_output=True,
        cwd=ROOT,
        timeout=seconds + DRAIN_SECONDS + 60,
    )
    if ran.returncode:
        raise RuntimeError(f"the load generator failed:\n{ran.stderr.decode(errors='replace')[-2000:]}")
    return _summary(msgspec.msgpack.decode(ran.stdout, type=Report), seconds)


def _summary(report: Report, seconds: float) -> OpenLoad:
    latencies = np.frombuffer(report.latencies) * 1e3
    outcomes = np.frombuffer(report.outcomes, np.uint8)
    p50, p99, p999 = np.percentile(latencies, (50, 99, 99.9)).tolist()
    return OpenLoad(
        offered=len(latencies),
        completed=report.completed,
        ok=int(np.count_nonzero(outcomes == OK)),
        defaults=int(np.count_nonzero(outcomes == DEFAULT)),
        errors=int(np.count_nonzero(outcomes == ERROR)),
        seconds=seconds,
        p50=p50,
        p99=p99,
        p999=p999,
        send_lag_p99=float(np.percentile(np.frombuffer(report.lags), 99)) * 1e3,
        connections=report.connections,
        latencies=latencies,
        outcomes=outcomes,
    )
