"""Models in other languages: the directory holds the container itself, and the note names how it is run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from clipper_admin.exceptions import ClipperException

CONTAINERS: Final = Path(__file__).parent.parent / "containers"
PATIENCE: Final = 120.0


def need(program: str, package: str) -> None:
    """Raises ClipperException if a program is not here, naming what brings it."""
    if shutil.which(program) is None:
        raise ClipperException(f"{program} is not on the PATH: install {package} to deploy this model")


def run(command: Sequence[str], what: str) -> None:
    """Runs a tool that makes a part of a model.

    Raises:
        ClipperException: it failed, with its last words, or took more than ``PATIENCE`` seconds.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClipperException(f"{what} failed: {error}") from error
    if done.returncode:
        raise ClipperException(f"{what} failed; {command[0]} says:\n{done.stdout.strip()[-2000:]}")
