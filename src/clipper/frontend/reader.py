"""Bytes of one connection -> requests, without I/O: framing is the parser's, bounds and odd cases are here.

Each callback of the parser costs, so the common request (one read, small body, keep-alive) passes few lines;
what only long, odd or hostile requests need happens once a read has left something unfinished.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from clipper.errors import BadRequest, HeadersTooLarge, MethodNotAllowed, PayloadTooLarge
from clipper.frontend.exchange import Exchange, Origin
from clipper.frontend.limits import Limits
from clipper.request_ids import HEADER, read_request_id

# What the next byte from the client belongs to.
IDLE: Final = 0  # a new request
HEAD: Final = 1  # a request line or header
HEADED: Final = 2  # a body, of which the present read has shown the head
BODY: Final = 3  # a body whose head has been examined
SHUT: Final = 4  # nothing: there will be no further request

_SLASH: Final = ord("/")
_MANY_PARTS: Final = 1024  # small ones would take much more room than what they hold


class RequestReader:
    """Calls ``take`` with each complete request.

    ``phase`` is one of the constants above and ``since`` the time at which it began. ``expects_continue`` tells
    that the client waits for "100 Continue" before it sends the body.
    """

    __deletable__ = ["_origin", "_parser", "_take"]  # for the compiler

    def __init__(self, origin: Origin, limits: Limits, take: Callable[[Exchange], None]) -> None:
        self._origin = origin
        self._limits = limits
        self._take = take
        self.phase = IDLE
        self.since = 0.0
        self.one_more = False  # the request under way, or else the next one, is the last
        self.expects_continue = False
        self.http_1_0 = False

        # The parser calls this C function for each header: no Python frame. Of a repeated header, the first stays.
        self._headers: dict[bytes, bytes] = {}
        self.on_header = self._headers.setdefault
        self._parser = HttpRequestParser(self)
        self._exchange: Exchange | None = None
        self._url = b""
        self._version = ""
        self._now = 0.0
        self._read_bytes = 0
        self._parts: list[bytes] = []  # of the body, joined at its end: to let it grow would copy it again and again
        self._joined = 0  # how many of these were many small ones
        self._body_size = 0
        self._body_bytes = 0  # of the body, up to the last read
        self._overhead = 0  # bytes of a head (or within a body, of none of it) in the reads since it began

    def feed(self, data: memoryview | bytes, now: float) -> None:
        """Reads on.

        Raises:
            ClipperError: this can't be answered otherwise, nor read on; requests before it have been taken.
        """
        self._now = now
        self._read_bytes = len(data)
        while True:
            try:
                self._parser.feed_data(data)
                break
            except HttpParserUpgrade as upgrade:
                data = self._decline_upgrade(memoryview(data)[upgrade.args[0] :])
            except HttpParserError as error:
                if self.phase != SHUT:
                    raise self._refusal(error) from None
                break
        if self.phase != IDLE:
            self._check_unfinished()

    def request_id(self) -> str:
        """Of the request whose body is under way, if its client names it."""
        return "" if self._exchange is None else self._exchange.request_id

    def stop(self) -> None:
        """Takes no further request, be it begun."""
        self.phase = SHUT
        self._exchange = None
        self._parts.clear()
        self.expects_continue = False

    def close(self) -> None:
        """Breaks the cycles with the parser and the connection: without a collection, nothing is left of them."""
        self.stop()
        del self._parser, self._take, self._origin

    # -- the parser's callbacks

    def on_message_begin(self) -> None:
        if self.phase == SHUT:
            raise BadRequest("nothing can follow the last request of a connection")  # the parser stops; not told
        self.phase = HEAD
        self.since = self._now
        self._url = b""
        self._overhead = 0
        self._headers.clear()

    def on_url(self, part: bytes) -> None:
        self._url += part

    def on_headers_complete(self) -> None:
        if self._overhead or self._read_bytes > self._limits.header_bytes:
            self._bound_head(self._measure_head())
        if not self._version:
            self._check_version()
        url = self._url if self._url[0] == _SLASH else _origin_form(self._url)
        path, _, query_string = url.partition(b"?")
        method = self._parser.get_method()
        self._exchange = Exchange(self._origin, method, path, query_string, self._headers.copy(), self.since)
        self._exchange.request_id = read_request_id(self._exchange.header(HEADER))
        self.phase = HEADED

    def on_body(self, part: bytes) -> None:
        parts = self._parts
        parts.append(part)
        if len(parts) - self._joined >= _MANY_PARTS:
            parts[self._joined :] = [b"".join(parts[self._joined :])]
            self._joined += 1
        self._body_size += len(part)
        if self._body_size > self._limits.body_bytes:
            raise self._body_refusal()

    def on_message_complete(self) -> None:
        parser = self._parser
        if parser.should_upgrade():
            return  # feed() goes on from here
        exchange = self._exchange
        assert exchange is not None
        self._exchange = None
        parts = self._parts
        if parts:
            exchange.body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._parts = []
            self._body_size = self._joined = 0
        self.since = self._now
        if parser.should_keep_alive() and not self.one_more:
            self.phase = IDLE
        else:
            self.phase = SHUT
            exchange.last = True
        self._take(exchange)

    # -- the uncommon

    def _check_unfinished(self) -> None:
        """After a read: bounds what a request may hold beside its body, examines the head of one to be read on."""
        exchange = self._exchange
        if self.phase == HEAD:
            self._overhead = self._overhead + self._read_bytes if self._overhead else self._measure_head()
        elif exchange is None:
            return
        elif self.phase == HEADED:
            self._begin_body(exchange)
        elif self._body_size > self._body_bytes:
            self._overhead = 0
            self.expects_continue = False
        else:  # extensions of a chunk, or headers behind the body
            self._overhead += self._read_bytes
        self._body_bytes = self._body_size
        self._bound_head(self._overhead)

    def _begin_body(self, exchange: Exchange) -> None:
        self.phase = BODY
        self.since = self._now
        self._overhead = 0
        if int(exchange.header(b"content-length") or b"0") > self._limits.body_bytes:
            raise self._body_refusal()
        expected = (exchange.header(b"expect") or b"").lower() == b"100-continue"
        self.expects_continue = expected and not self._parts and not self.http_1_0

    def _check_version(self) -> None:
        # Once a connection: a client doesn't change its protocol.
        self._version = self._parser.get_http_version()
        self.http_1_0 = self._version == "1.0"
        if self._version not in ("1.0", "1.1"):
            raise BadRequest(f"this server speaks HTTP/1.1 and HTTP/1.0, not HTTP/{self._version}")

    def _decline_upgrade(self, rest: memoryview) -> memoryview:
        """Reads the head again as if it did not ask for another protocol, which the parser would obey.

        Clients that know HTTP/2 may ask for it in the first request of a connection, even if that has a body.
        """
        exchange = self._exchange
        assert exchange is not None
        if exchange.method == b"CONNECT":
            raise MethodNotAllowed("CONNECT is for proxies, and this is none: send the request itself")
        head = [b"%b %b HTTP/%b" % (exchange.method, self._url, self._version.encode())]
        head += [b"%b: %b" % each for each in self._headers.items() if each[0].lower() != b"upgrade"]
        self._parser = HttpRequestParser(self)
        return memoryview(b"\r\n".join((*head, b"", bytes(rest))))

    def _measure_head(self) -> int:
        return len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers.items())

    def _bound_head(self, size: int) -> None:
        if size > self._limits.header_bytes:
            raise HeadersTooLarge(
                f"the request line and headers are over the limit of {self._limits.header_bytes} bytes: send fewer"
            )

    def _body_refusal(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"the body is over the limit of {self._limits.body_bytes} bytes: send smaller batches, "
            "or start the query frontend with a higher CLIPPER_BODY_LIMIT"
        )

    def _refusal(self, error: HttpParserError) -> Exception:
        """What our callbacks have raised within the parser, or else that this is no HTTP."""
        if isinstance(error, HttpParserCallbackError) and isinstance(error.__context__, Exception):
            return error.__context__
        return BadRequest(f"the request can't be read as HTTP/1.1 ({error}): correct it and send it again")


def _origin_form(url: bytes) -> bytes:
    """The path and query of a URL as proxies are sent it, ``http://host/path``; others (``*``) as they are."""
    _, scheme, rest = url.partition(b"://")
    if not scheme:
        return url
    start = min(at if at >= 0 else len(rest) for at in (rest.find(b"/"), rest.find(b"?")))
    return rest[start:] if rest[start : start + 1] == b"/" else b"/" + rest[start:]
