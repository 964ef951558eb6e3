"""The load generator that stands in where wrk is not installed, against the real echo."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import shutil
shutil.which = lambda name: None
from benchmarks.load import generator_name, measure
from benchmarks.run import bare_echo
with bare_echo() as url:
    load = measure(url, 4, 0.2)
print(generator_name(), load.rate > 0, 0 < load.p50 <= load.p99 <= load.p999, load.not_ok, load.broken)
"""


def test_the_bundled_generator_measures() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["asyncio", "True", "True", "0", "0"], ran.stderr


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_measures() -> None:
    program = PROGRAM.replace("shutil.which = lambda name: None", "")
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["wrk", "True", "True", "0", "0"], ran.stderr
