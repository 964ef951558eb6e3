"""Models in other languages: the directory holds the container itself, and the note names how it is run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from clipper_admin.deployers.framework import Options
from clipper_admin.dry_run import as_container_value
from clipper_admin.exceptions import ClipperException
from clipper_admin.names import canonical_input_type

CONTAINERS: Final = Path(__file__).parent.parent / "containers"
SAMPLE: Final = "sample.bin"
PATIENCE: Final = 120.0


def path(what: str, given: object) -> Path:
    """Raises ClipperException if it is no path."""
    if not isinstance(given, str | os.PathLike):
        raise ClipperException(f"{what} must be the path of a file, not a {type(given).__name__}")
    return Path(given)


def need(program: str, package: str) -> None:
    """Raises ClipperException if a program is not here, naming what brings it."""
    if shutil.which(program) is None:
        raise ClipperException(f"{program} is not on the PATH: install {package} to deploy this model")


def save_sample(directory: Path, input_type: str, options: Options) -> None:
    """Writes the sample, if one is given, as a frontend would send it: the containers look for the file.

    Raises:
        ClipperException: the function is to get one input at a time.
    """
    if options.get("per_item"):
        raise ClipperException("per_item is for functions of Python: in R and Java a model takes a batch of inputs")
    sample, kind = options.get("sample"), canonical_input_type(input_type)
    if sample is None:
        return
    value = as_container_value(sample, kind)
    data = value.encode() if isinstance(value, str) else bytes(value.tobytes())
    (directory / SAMPLE).write_bytes(data)


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
