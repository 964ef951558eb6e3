"""Environments that no model uses any more."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.folders import locked

YOUNG_SECONDS = 3600.0
"""A deploy that has made its environment may take so long to say that it uses it."""


class Removed(NamedTuple):
    """An environment that went, and the bytes on disk that it took."""

    name: str
    size: int


def remove_unused(home: Path, now: float | None = None) -> list[Removed]:
    """Removes the isolated environments that no image of any cluster of this home names; those that are young stay.

    Raises:
        ClipperException: one could not be removed; those before it are gone.
    """
    environments = home / "environments"
    used = set(_used(home))
    removed = []
    for folder in sorted(environments.iterdir()) if environments.is_dir() else ():
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in used:
            size = _remove(folder, time.time() if now is None else now)
            if size is not None:
                removed.append(Removed(folder.name, size))
    return removed


def _used(home: Path) -> Iterator[str]:
    """The names of environments whose interpreters run models."""
    for note in home.glob("clusters/*/models/*/*/image.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            parts = Path(json.loads(note.read_text(encoding="utf-8"))["interpreter"]).parts
            if "environments" in parts[:-1]:  # the home may have been named by another path then
                yield parts[parts.index("environments") + 1]


def _remove(folder: Path, now: float) -> int | None:
    """The bytes freed; None if it is too young to go."""
    try:
        if now - folder.stat().st_mtime < YOUNG_SECONDS:
            return None
        size = sum(each.lstat().st_size for each in folder.rglob("*"))
        with locked(folder.with_suffix(".lock"), 10, "A deploy is making the same environment"):
            shutil.rmtree(folder)
    except OSError as error:
        raise ClipperException(f"The environment {folder} can't be removed: {error}") from error
    folder.with_suffix(".lock").unlink(missing_ok=True)
    return size
