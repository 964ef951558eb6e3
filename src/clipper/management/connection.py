"""uvicorn's HTTP connection, with a limit on the time that a client may take to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clipper.errors import ClipperError, RequestTimeout


class Connection(HttpToolsProtocol):
    """Ends when the client has sent nothing, or not the whole head of a request, for ``timeout_keep_alive`` seconds.

    uvicorn keeps that limit only between two requests, and only until the first byte of the second. A client that
    has begun a head is told with a 408; one that has sent nothing has nothing to be told. While a request is being
    answered no time counts here: its body has a limit of its own (``edge.Edge``).
    """

    _limit: asyncio.TimerHandle | None = None
    _head_begun = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._restart_limit()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_limit()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_begun = True
        if self.cycle is None or self.cycle.response_complete:
            self._restart_limit()

    def on_headers_complete(self) -> None:
        self._head_begun = False
        self._cancel_limit()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():  # no pipelined request is next
            self._restart_limit()

    def timeout_keep_alive_handler(self) -> None:
        """The limit is over. uvicorn calls this too, where its own limit ends first."""
        if self.transport.is_closing():
            return
        if self._head_begun:
            cause = f"the headers did not come within {self.timeout_keep_alive:g} seconds: send the request again"
            self.transport.write(_to_bytes(RequestTimeout(cause), self.server_state.default_headers))
        self.transport.close()

    def _restart_limit(self) -> None:
        self._cancel_limit()
        self._limit = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _cancel_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


def _to_bytes(error: ClipperError, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole response, the last one of its connection."""
    body = error.to_json()
    lines = [
        b"HTTP/1.1 %d %b" % (error.status, HTTPStatus(error.status).phrase.encode()),
        *(b"%b: %b" % each for each in headers),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"connection: close",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
