"""One program a system, each run by the Python of its own environment: ``python -m benchmarks.systems.mosec``.

The port and the workload come in the variables ``BENCH_PORT`` and ``BENCH_WORKLOAD``. A program serves until it gets
SIGTERM; when it is ready is seen by asking it.
"""

from __future__ import annotations

import os

from benchmarks.workloads import WORKLOADS, Workload

BATCH = 64
"""The largest batch of systems that want it set."""


def port() -> int:
    return int(os.environ["BENCH_PORT"])


def workload() -> Workload:
    return WORKLOADS[os.environ["BENCH_WORKLOAD"]]
