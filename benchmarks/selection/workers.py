"""Runs of pure code, shared out to two processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

PROCESSES = min(2, os.cpu_count() or 1)

Given = TypeVar("Given")
Found = TypeVar("Found")


def share_out(run: Callable[[Given], Found], given: Iterable[Given]) -> list[Found]:
    """``run`` of each, in their order."""
    with ProcessPoolExecutor(PROCESSES) as processes:
        return list(processes.map(run, given))
