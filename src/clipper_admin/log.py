"""Shows Clipper's log lines in a session where nobody has set up logging, and stays silent where somebody has."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

_NAME = "clipper_admin"
FORMAT = "%(asctime)s %(levelname)-8s [%(filename)s:%(lineno)d] %(message)s"
DATE_FORMAT = "%y-%m-%d:%H:%M:%S"
SHOWN = logging.INFO - 1
"""Lets INFO pass, and can be told from a level that the application has chosen."""


class ConsoleHandler(logging.Handler):
    """Writes to whatever ``sys.stderr`` is now, but only while the root logger has no handler of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return  # the application has set up logging, at any time: propagation takes the line there
        try:
            print(self.format(record), file=sys.stderr, flush=True)  # noqa: T201
        except Exception:
            self.handleError(record)


class SessionLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs for a session that may set up logging at any time; from then on its levels count and not ours."""

    def isEnabledFor(self, level: int) -> bool:
        _give_way()
        return super().isEnabledFor(level)


class ClusterLogger(SessionLogger):
    """Begins every line with the name of the cluster it is about."""

    def __init__(self, logger: logging.Logger, cluster: str) -> None:
        super().__init__(logger, {})
        self.cluster = cluster

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return f"[{self.cluster}] {msg}", kwargs


def show_on_console() -> None:
    """Makes Clipper's INFO lines visible, unless the application has its own wishes already."""
    logger = logging.getLogger(_NAME)
    if logger.handlers or logger.level != logging.NOTSET or logging.getLogger().handlers:
        return
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter(FORMAT, DATE_FORMAT))
    logger.addHandler(handler)
    logger.setLevel(SHOWN)


def _give_way() -> None:
    logger = logging.getLogger(_NAME)
    if logger.level == SHOWN and logging.getLogger().handlers:
        logger.setLevel(logging.NOTSET)
