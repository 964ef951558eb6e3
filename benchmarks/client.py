"""As much of an HTTP/1.1 client as the load generators need: bytes of a request, and where an answer ends."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Target(NamedTuple):
    host: str
    port: int
    path: str


def target(url: str) -> Target:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url!r} is no http:// address: the load generators speak plain HTTP")
    path = parts.path or "/"
    return Target(parts.hostname, parts.port or 80, f"{path}?{parts.query}" if parts.query else path)


def request(to: Target, body: bytes, content_type: str) -> bytes:
    """A POST, ready to send."""
    head = (
        f"POST {to.path} HTTP/1.1\r\nHost: {to.host}:{to.port}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


class Answer:
    """Reads the answers of one connection, one after the other. They are taken to be small."""

    __slots__ = ("_partial", "body", "status")

    def __init__(self) -> None:
        self._partial = b""
        self.status = 0
        self.body = b""

    def feed(self, data: bytes) -> bool:
        """True when an answer is whole: then ``status`` and ``body`` (raw, if chunked) are those of it.

        ValueError if it says neither how long it is nor that it comes in chunks.
        """
        if self._partial:
            data = self._partial + data
        head = data.find(b"\r\n\r\n")
        if head < 0 or not _whole(data, head):
            self._partial = data
            return False
        self._partial = b""
        self.status, self.body = int(data[9:12]), data[head + 4 :]
        return True

    @property
    def is_default(self) -> bool:
        return b'"default":true' in self.body


def _whole(data: bytes, head: int) -> bool:
    length = _LENGTH.search(data, 0, head)
    if length:
        return len(data) >= head + 4 + int(length[1])
    if _CHUNKED.search(data, 0, head):
        return data.endswith(b"0\r\n\r\n")
    raise ValueError(f"an answer of unknown length: {data[:head]!r}")
