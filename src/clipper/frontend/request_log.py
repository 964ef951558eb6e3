"""A line in the log for each request, where the level is ``debug``: what was asked, what came of it, and when."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from clipper.frontend.exchange import Exchange, Origin
from clipper.frontend.host import Handler

log = logging.getLogger("clipper.frontend.requests")


def logging_requests(handler: Handler) -> Handler:
    """``handler``, and a line for each of its answers; just itself if no such lines are wanted: they cost time."""
    if not log.isEnabledFor(logging.DEBUG):
        return handler

    def handle(exchange: Exchange) -> None:
        if exchange.origin is not None:
            exchange.origin = _Watch(exchange.origin)
        handler(exchange)

    return handle


class _Watch:
    """Stands between an exchange and its connection, and sees the answer pass."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def answered(self, exchange: Exchange) -> None:
        self._origin.answered(exchange)
        seconds = time.monotonic() - exchange.arrived
        fields = {
            "method": exchange.method.decode("latin-1"),
            "path": exchange.path.decode("utf-8", "backslashreplace"),
            "status": exchange.status,
            "seconds": round(seconds, 6),
            "request_id": exchange.request_id,
        } | _told(exchange)
        query = f", query {fields['query_id']}" if "query_id" in fields else ""
        default = f", default output ({fields['default_reason']})" if "default_reason" in fields else ""
        log.debug(
            "%s %s: %d in %.2f ms%s%s",
            ascii(fields["method"])[1:-1],
            ascii(fields["path"])[1:-1],
            exchange.status,
            seconds * 1000,
            query,
            default,
            extra=fields,
        )


def _told(exchange: Exchange) -> dict[str, Any]:
    """The query's id and why it got the default output, of the answer to a single one."""
    if not exchange.path.rstrip(b"/").endswith(b"/predict") or exchange.response is None:
        return {}
    try:
        answer = json.loads(exchange.response.partition(b"\r\n\r\n")[2])
    except ValueError:
        return {}
    return {name: answer[name] for name in ("query_id", "default_reason") if name in answer}
