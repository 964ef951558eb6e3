"""Request heads that were read before: the next request of a client mostly begins with the very same bytes.

A head decides how its request is read, so one that is known byte for byte need not be parsed again. Remembered are
the heads of requests that came whole in one read, as plain bytes behind the head, and left the connection open.
"""

from __future__ import annotations

from typing import Final

from clipper.frontend.exchange import Exchange

_END: Final = b"\r\n\r\n"
_LONGEST: Final = 1024
_MOST: Final = 1024


class Head:
    """What a known head says; ``size`` is that of the whole request."""

    __slots__ = ("headers", "method", "path", "query_string", "size")

    def __init__(self, size: int, exchange: Exchange) -> None:
        self.size = size
        self.method = exchange.method
        self.path = exchange.path
        self.query_string = exchange.query_string
        self.headers = exchange.headers


class KnownHeads:
    """At most 1024 heads of at most 1 KiB. When it is full it starts anew: clients that vary theirs gain nothing."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def get(self, head: bytes) -> Head | None:
        return self._heads.get(head)

    def learn(self, data: bytes, exchange: Exchange) -> None:
        """``data`` was all of one read, and ``exchange`` the one request that it held."""
        end = data.find(_END) + len(_END)
        if end > _LONGEST or data[end:] != exchange.body or exchange.request_id:
            return  # an id is another one the next time
        if len(self._heads) >= _MOST:
            self._heads.clear()
        self._heads[data[:end]] = Head(len(data), exchange)
