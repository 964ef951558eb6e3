"""How the servers write their log: a line for each event, for people or as JSON for programs."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("text", "json")
TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

_OURS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record has; all else that one has was said of this event, by ``extra``."""


def log_to_stderr(
    level: str = "info", form: str = "text", fields: Mapping[str, str] | None = None
) -> logging.StreamHandler[TextIO]:
    """One event a line on stderr, from ``level`` on; ``fields`` are part of each line that is JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(fields or {}) if form == "json" else TextLines(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    return handler


class TextLines(logging.Formatter):
    """As ever, with what the client calls its request at the end of the message.

    Further lines of an event, such as its traceback, are indented: text from elsewhere begins no line, and can't pass
    for an event.
    """

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(super().format(record).splitlines())

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        name = getattr(record, "request_id", "")
        return f"{line} (request {name})" if name else line


class JsonLines(logging.Formatter):
    """An object a line: ``time`` (UTC), ``level``, ``logger``, ``message``, and fields of the process and the event.

    A traceback is in ``traceback``. Fields that are empty are left out.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__()
        self._fields = dict(fields)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._fields,
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OURS and value != ""}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def stamp(seconds: float) -> str:
    """Seconds since the epoch as ``2026-11-28T11:04:48.123Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
