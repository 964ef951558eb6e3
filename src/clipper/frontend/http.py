"""The query frontend's HTTP/1.1 server: the life of its connections. ``connection.py`` is the life of one."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final, cast

from clipper.errors import Unavailable
from clipper.frontend.connection import Connection
from clipper.frontend.exchange import Exchange
from clipper.frontend.heads import KnownHeads
from clipper.frontend.host import Handler
from clipper.frontend.limits import LINGER, Limits

__all__ = ["Exchange", "Handler", "HttpServer", "Limits"]

_LONGEST_SWEEP_PERIOD: Final = 1.0


class HttpServer:
    """Owns the connections of one listening socket, or of several.

    ``handler`` is called on ``loop`` with each complete request; if it raises, the answer is a 500 and the
    traceback is logged. ``statuses`` counts the answers by their status.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        statuses: defaultdict[int, int] | None = None,
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.loop = loop
        self.statuses = defaultdict[int, int](int) if statuses is None else statuses
        self.known_heads = KnownHeads()
        self._connections: set[Connection] = set()
        self._draining = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._sweep_period = min(_LONGEST_SWEEP_PERIOD, limits.header_seconds / 4, limits.content_seconds / 4)
        self._sweep_due = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def protocol(self) -> asyncio.Protocol:
        """The protocol of a new connection: give this method to ``loop.create_server``."""
        return cast(asyncio.Protocol, Connection(self))

    def begin_drain(self) -> None:
        """Ends every connection after the requests it has begun, and idle ones soon. New ones are refused."""
        self._draining = True
        now = self.loop.time()
        for connection in tuple(self._connections):
            connection.begin_drain(now)
        self.loop.call_later(LINGER, self._drain_all)

    def _drain_all(self) -> None:
        for connection in tuple(self._connections):
            connection.drain()

    async def drained(self, timeout: float) -> bool:
        """Waits until no connection is left; after ``timeout`` seconds it aborts the rest and returns False."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            for connection in tuple(self._connections):
                connection.abort()
            return False
        return True

    def admit(self, connection: Connection) -> Unavailable | None:
        """Takes up a new connection, or says why not."""
        if self._draining:
            return Unavailable("this query frontend is stopping: send the request again, to another one")
        if len(self._connections) >= self.limits.connections:
            return Unavailable(f"{len(self._connections)} connections are open, the most allowed: try again later")
        self._connections.add(connection)
        self._empty.clear()
        if not self._sweep_due:
            self._plan_sweep()
        return None

    def forget(self, connection: Connection) -> None:
        """Lets go of a connection that is lost."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _plan_sweep(self) -> None:
        """Time limits are kept with one timer for all connections; without connections there is none."""
        self._sweep_due = bool(self._connections)
        if self._sweep_due:
            self.loop.call_later(self._sweep_period, self._sweep)

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in tuple(self._connections):
            connection.check_time(now)
        self._plan_sweep()
