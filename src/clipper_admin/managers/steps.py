"""Shows what is being waited for: a spinner on a terminal, a log line anywhere else."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from clipper_admin.log import ClusterLogger


@contextlib.contextmanager
def step(logger: ClusterLogger, text: str) -> Iterator[None]:
    """Says ``text`` for as long as the block runs."""
    if not sys.stderr.isatty():
        logger.info(text)
        yield
        return
    from rich.console import Console  # here, to keep `import clipper_admin` light

    with Console(stderr=True).status(text):
        yield
