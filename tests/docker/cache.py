"""Where the tests of Docker keep what is slow to make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$CLIPPER_TEST_CACHE``, else ``clipper-test`` in the user's cache folder; made if it is not there."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clipper-test"
    folder = Path(os.environ.get("CLIPPER_TEST_CACHE") or usual)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
