"""Whatever the clock on the wall is set to, deadlines are kept: only the clock that never goes back is read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_layers import DATA_PATH, SOURCE, below

ON_THE_WAY = [*DATA_PATH, "clipper/metrics.py", "clipper/catalog.py", "clipper/container"]
NEVER_BACK = {"monotonic", "perf_counter"}
STAMPS_OF_LINES = {("clipper/container/log.py", each) for each in ("strftime", "gmtime", "localtime", "time")}
"""A line of a log may say what time it is."""


def clocks_read(source: str) -> Iterator[str]:
    """What is used of the module ``time``, and any use of ``datetime``."""
    tree = ast.parse(source)
    names = {"time"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname or each.name for each in node.names if each.name == "time"}
            yield from (each.name for each in node.names if each.name.split(".")[0] == "datetime")
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
            yield from (each.name for each in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            yield node.attr


@pytest.mark.parametrize("path", below(ON_THE_WAY), ids=str)
def test_the_data_path_reads_no_clock_that_can_be_set(path: Path) -> None:
    name = path.relative_to(SOURCE).as_posix()
    assert {each for each in clocks_read(path.read_text()) if (name, each) not in STAMPS_OF_LINES} <= NEVER_BACK


def test_clocks_are_found_however_they_are_imported() -> None:
    assert set(clocks_read("import time\nt = time.time\nt2 = time.monotonic()")) == {"time", "monotonic"}
    assert set(clocks_read("import time as t\nt.time_ns()")) == {"time_ns"}
    assert set(clocks_read("from time import monotonic as m, time")) == {"monotonic", "time"}
    assert set(clocks_read("from datetime import datetime")) == {"datetime"}
    assert set(clocks_read("import datetime\nclass A:\n    time = 1\nself.time()")) == {"datetime"}
