"""``examples/frameworks/*.py``, run for real as their users run them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "frameworks").glob("*.py"))
PACKAGES = {"onnx": "onnxruntime", "pytorch": "torch"}

pytestmark = pytest.mark.frameworks


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_what_is_served_is_what_the_model_says(script, tmp_path):
    package = PACKAGES.get(script.stem, script.stem)
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equals local" in done.stdout or "of the model" in done.stdout, done.stdout
