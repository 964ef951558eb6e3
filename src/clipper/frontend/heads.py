"""Request heads that were read before: the next request of a client mostly begins with the very same bytes.

A head decides how its request is read, so one that is known byte for byte need not be parsed again. Remembered are
the heads of requests that came whole in one read, as plain bytes behind the head, and left the connection open.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from clipper.frontend.exchange import Exchange

_END: Final = b"\r\n\r\n"
_LONGEST: Final = 1024
_MOST: Final = 1024


class Head(NamedTuple):
    """What a known head says; ``size`` is that of the whole request."""

    size: int
    method: bytes
    path: bytes
    query_string: bytes
    headers: dict[bytes, bytes]


class KnownHeads:
    """At most 1024 heads of at most 1 KiB. When it is full it starts anew: clients that vary theirs gain nothing."""

    __slots__ = ("_heads", "get")

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self.get = self._heads.get

    def learn(self, data: bytes, exchange: Exchange) -> None:
        """``data`` was all of one read, and ``exchange`` the one request that it held."""
        end = data.find(_END) + len(_END)
        if end > _LONGEST or data[end:] != exchange.body:
            return
        if len(self._heads) >= _MOST:
            self._heads.clear()
        self._heads[data[:end]] = Head(
            len(data), exchange.method, exchange.path, exchange.query_string, exchange.headers
        )
