"""What every server process does at its start."""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
from collections.abc import Mapping

_PR_SET_PDEATHSIG = 1


def die_with_parent(environ: Mapping[str, str]) -> None:
    """Under a supervisor that goes away the process drains and stops, instead of running on unsupervised."""
    if environ.get("CLIPPER_DIE_WITH_PARENT") == "1" and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def collect_garbage_rarely() -> None:
    """For a process that has started up: what is there stays, and queries leave next to no cycles behind.

    Python's defaults look through all open queries every few hundred of them. Measured with 256 connections, eight
    interleaved runs: the P99 falls from 30 to 17 ms (medians), at the same throughput.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
