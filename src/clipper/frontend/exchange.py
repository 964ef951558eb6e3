"""One HTTP request and the place for its answer."""

from __future__ import annotations

import functools
import http
import logging
from typing import Final, Protocol

from clipper.errors import ClipperError, InternalError
from clipper.request_ids import header_line

Body = bytes | bytearray | memoryview

_log = logging.getLogger(__name__)
_JSON_START: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
_KNOWN_STATUSES: Final = {int(each): each.phrase for each in http.HTTPStatus}


class Origin(Protocol):
    """The connection of an exchange, as the exchange sees it."""

    def answered(self, exchange: Exchange) -> None: ...


class Pending(Protocol):
    """What is worked on for an exchange."""

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        ...


class Exchange:
    """A complete request, to be answered once with ``reply``, now or later, on the loop it came from.

    ``path`` stands without the query string and is not percent-decoded. ``body`` is whole. ``arrived`` is the
    ``loop.time()`` at which the first bytes were read. ``closed`` turns true when the client goes before its
    answer; ``pending``, where it is set, is then abandoned. ``response``, once there is one, is all of it but the
    Connection header, and ``status`` its status. ``request_id`` is what the client calls the request, if it does; it
    is sent back. ``origin`` and ``last`` are the connection's own notes.
    """

    __slots__ = (
        "arrived",
        "body",
        "closed",
        "headers",
        "last",
        "method",
        "origin",
        "path",
        "pending",
        "query_string",
        "request_id",
        "response",
        "status",
    )

    def __init__(
        self,
        origin: Origin | None,
        method: bytes,
        path: bytes,
        query_string: bytes,
        headers: dict[bytes, bytes],
        arrived: float,
        body: bytes | bytearray = b"",
    ) -> None:
        self.origin = origin
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.arrived = arrived
        self.body = body
        self.request_id = ""
        self.response: bytes | None = None
        self.status = 0
        self.pending: Pending | None = None
        self.closed = False
        self.last = False

    def header(self, name: bytes) -> bytes | None:
        """The value of a request header; ``name`` in lower case. Of a repeated header, the first."""
        # Keys are kept as sent: no request pays for headers that nobody asks for.
        for key, value in self.headers.items():
            if len(key) == len(name) and key.lower() == name:
                return value
        return None

    def reply(self, status: int, body: Body, content_type: bytes = b"application/json", headers: bytes = b"") -> None:
        """Answers the request; ``headers`` are complete further lines, as in ``b"Allow: POST\\r\\n"``.

        Once the client has gone this does nothing.

        Raises:
            RuntimeError: the request has been answered before.
        """
        content = b"" if self.method == b"HEAD" else body  # its answer has the length of the body, not the body
        start = _response_start(status, content_type)
        # %b takes any buffer, which the type checker does not know; join() would be slower for small bodies.
        if self.request_id:
            headers += header_line(self.request_id)
        response = b"%b%d\r\n%b\r\n%b" % (start, len(body), headers, content)  # type: ignore[str-format]
        self._send(status, response)

    def reply_json(self, body: bytes) -> None:
        """The same as ``reply(200, body)`` to a POST, in less time."""
        if self.request_id:
            self.reply(200, body)
        else:
            self._send(200, b"".join((_JSON_START, str(len(body)).encode(), b"\r\n\r\n", body)))

    def _send(self, status: int, response: bytes) -> None:
        if self.response is not None:
            raise RuntimeError(f"{self.method!r} {self.path!r} has been answered already: reply once")
        self.response = response
        self.status = status
        if self.origin is not None:
            self.origin.answered(self)

    def abandon(self) -> None:
        """Takes note that the client has gone."""
        self.closed = True
        self.origin = None
        if self.pending is not None:
            self.pending.abandon()


def with_header(response: bytes, line: bytes) -> bytes:
    """The response with one more header line."""
    head, body = response.split(b"\r\n\r\n", 1)
    return b"%b\r\n%b\r\n\r\n%b" % (head, line, body)


@functools.lru_cache(maxsize=256)
def _response_start(status: int, content_type: bytes) -> bytes:
    phrase = _KNOWN_STATUSES.get(status, "").encode()
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: " % (status, phrase, content_type)


def log_bug(what: str, exchange: Exchange) -> None:
    """Logs the exception at hand, which was not meant for clients."""
    fields = {"request_id": exchange.request_id}
    _log.exception("%s on %r %r", what, exchange.method, exchange.path, extra=fields)


def as_clipper_error(error: Exception) -> ClipperError:
    """What a client is answered that has met ``error``; one that is not meant for clients is logged."""
    if isinstance(error, ClipperError):
        return error
    _log.error("a request could not be read", exc_info=error)
    return InternalError("the query frontend failed to read the request: its log holds the traceback")
