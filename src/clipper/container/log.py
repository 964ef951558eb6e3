"""What the container tells its log: lines on stderr, one for each event.

Not ``logging``: a model may configure or disable that in its own way, and must not silence the container.
"""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from typing import Final

_TRACEBACK_INTERVAL: Final = 1.0


def log(text: str) -> None:
    """Writes one event. A log that can't be written (disk full, reader gone) does not stop the container."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S")
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{stamp} {text}\n")
        sys.stderr.flush()


class TracebackLog:
    """Writes tracebacks, at most one a second, so that a model that always fails does not fill the disk."""

    def __init__(self) -> None:
        self._next = 0.0
        self._suppressed = 0

    def write(self, error: BaseException, queries: int, now: float) -> None:
        """Logs what the function raised for ``queries`` queries at ``now`` (monotonic seconds), or counts it."""
        if now < self._next:
            self._suppressed += 1
            return
        more = f" ({self._suppressed} more failures since the last one shown)" if self._suppressed else ""
        log(f"The model raised on a batch of {queries}{more}:\n{format_traceback(error)}")
        self._next, self._suppressed = now + _TRACEBACK_INTERVAL, 0


def format_traceback(error: BaseException) -> str:
    """The traceback of ``error``, without a newline at the end."""
    return "".join(traceback.format_exception(error)).rstrip("\n")
