"""What clients call their requests (X-Request-Id): in the answers, and in the log lines that a request causes."""

from __future__ import annotations

import logging
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipper.request_ids import HEADER, read_request_id

log: Final = logging.getLogger("clipper.management.requests")
_CURRENT: Final[ContextVar[str]] = ContextVar("request_id", default="")


class WithRequestId(logging.Filter):
    """Adds ``request_id`` to the lines of whatever a request has done, in other threads, too."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "request_id"):
            record.request_id = _CURRENT.get()
        return True


@dataclass(frozen=True, slots=True)
class RequestLog:
    """Around an ASGI application: sends ids back, and logs each request where the level is ``debug``."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 0
        value = Headers(scope=scope).get(HEADER.decode())
        request_id = read_request_id(None if value is None else value.encode("latin-1"))
        token = _CURRENT.set(request_id)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if request_id:
                    MutableHeaders(scope=message)[HEADER.decode()] = request_id
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            _note(scope, status, time.monotonic() - began)
            _CURRENT.reset(token)


def _note(scope: Scope, status: int, seconds: float) -> None:
    if log.isEnabledFor(logging.DEBUG):
        method, path = scope["method"], scope["path"]
        fields = {"method": method, "path": path, "status": status, "seconds": round(seconds, 6)}
        log.debug("%s %s: %d in %.2f ms", method, ascii(path)[1:-1], status, seconds * 1000, extra=fields)
