"""``examples/frameworks/*.py``, run for real as their users run them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "frameworks").glob("*.py"))
PACKAGES = {"onnx": "onnxruntime", "pytorch": "torch"}
PROGRAMS = {"java": "javac", "r": "Rscript"}

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(300)]  # Spark takes its time to start


def is_here(needed):
    return shutil.which(needed) if needed in PROGRAMS.values() else needed == "python" or find_spec(needed)


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_what_is_served_is_what_the_model_says(script, tmp_path):
    needed = PROGRAMS.get(script.stem) or PACKAGES.get(script.stem, script.stem)
    if not is_here(needed):
        pytest.skip(f"{needed} is not installed")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equals local" in done.stdout or "of the model" in done.stdout, done.stdout
