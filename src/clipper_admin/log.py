"""Shows Clipper's log lines in a session where nobody has set up logging, and stays silent where somebody has."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

FORMAT = "%(asctime)s %(levelname)-8s [%(filename)s:%(lineno)d] %(message)s"
DATE_FORMAT = "%y-%m-%d:%H:%M:%S"


class ConsoleHandler(logging.Handler):
    """Writes to whatever ``sys.stderr`` is now, but only while the root logger has no handler of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return  # the application has set up logging, at any time: propagation takes the line there
        try:
            print(self.format(record), file=sys.stderr, flush=True)  # noqa: T201
        except Exception:
            self.handleError(record)


class ClusterLogger(logging.LoggerAdapter[logging.Logger]):
    """Begins every line with the name of the cluster it is about."""

    def __init__(self, logger: logging.Logger, cluster: str) -> None:
        super().__init__(logger, {})
        self.cluster = cluster

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return f"[{self.cluster}] {msg}", kwargs


def show_on_console(name: str = "clipper_admin") -> None:
    """Makes the INFO lines of the named logger visible, unless its application has its own wishes already."""
    logger = logging.getLogger(name)
    if logger.handlers or logger.level != logging.NOTSET or logging.getLogger().handlers:
        return
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter(FORMAT, DATE_FORMAT))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
