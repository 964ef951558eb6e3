"""What the container tells its log: lines on stderr, one for each event, for people or as JSON for programs.

Not ``logging``: a model may configure or disable that in its own way, and must not silence the container. How it is
written is read from the environment each time (events are few), so that there is nothing to set up before the first.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any, Final

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("text", "json")

_TRACEBACK_INTERVAL: Final = 1.0
_SHOWN_IDS: Final = 10


def log(text: str, level: str = "info", **fields: Any) -> None:
    """Writes one event; ``fields`` are for programs, and say nothing that ``text`` does not.

    A log that can't be written (disk full, reader gone) does not stop the container.
    """
    if not is_logged(level):
        return
    line = _as_json(text, level, fields) if os.environ.get("CLIPPER_LOG_FORMAT") == "json" else _as_text(text, level)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def is_logged(level: str) -> bool:
    """Whether events of ``level`` are written, as CLIPPER_LOG_LEVEL says."""
    least = os.environ.get("CLIPPER_LOG_LEVEL", "info")
    return LEVELS.index(level) >= (LEVELS.index(least) if least in LEVELS else 1)


def _as_text(text: str, level: str) -> str:
    """A line of the same form as the servers' lines: further ones are indented, and can't pass for an event."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)) + f",{int(now % 1 * 1000):03d}"
    return "\n    ".join(f"{stamp} {level.upper():7} container: {text}".splitlines())


def _as_json(text: str, level: str, fields: dict[str, Any]) -> str:
    """An object of the same form as the servers' lines."""
    now = time.time()
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z",
        "level": level,
        "logger": "container",
        "message": text,
        "model": os.environ.get("CLIPPER_MODEL_NAME", ""),
        "version": os.environ.get("CLIPPER_MODEL_VERSION", ""),
        "replica": os.environ.get("CLIPPER_REPLICA_ID", ""),
        **fields,
    }
    return json.dumps({name: value for name, value in line.items() if value not in ("", [])}, ensure_ascii=False)


class TracebackLog:
    """Writes tracebacks, at most one a second, so that a model that always fails does not fill the disk."""

    def __init__(self) -> None:
        self._next = 0.0
        self._suppressed = 0

    def write(self, error: BaseException, queries: int, now: float, request_ids: Sequence[str] = ()) -> None:
        """Logs what the function raised for ``queries`` queries at ``now`` (monotonic seconds), or counts it."""
        if now < self._next:
            self._suppressed += 1
            return
        more = f" ({self._suppressed} more failures since the last one shown)" if self._suppressed else ""
        names = [each for each in request_ids if each]
        text = f"The model raised on a batch of {queries}{more}{shown_ids(names)}:\n{format_traceback(error)}"
        log(text, "error", queries=queries, request_ids=names)
        self._next, self._suppressed = now + _TRACEBACK_INTERVAL, 0


def shown_ids(names: Sequence[str]) -> str:
    """What clients call the requests an event is about, for the end of a line of text."""
    if not names:
        return ""
    rest = f" and {len(names) - _SHOWN_IDS} more" if len(names) > _SHOWN_IDS else ""
    return f" (requests {', '.join(names[:_SHOWN_IDS])}{rest})"


def format_traceback(error: BaseException) -> str:
    """The traceback of ``error``, without a newline at the end."""
    return "".join(traceback.format_exception(error)).rstrip("\n")
