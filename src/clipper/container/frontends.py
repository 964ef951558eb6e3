"""All the query frontends that the container's addresses name, and a connection to each of them."""

from __future__ import annotations

import math
import selectors
import time
from collections.abc import Iterable
from typing import Final

from clipper.container.addresses import Address, Endpoint, resolve
from clipper.container.connection import Connection, Phase
from clipper.container.log import log

RESOLVE_INTERVAL: Final = 10.0
RESOLVE_INTERVAL_MISSING: Final = 2.0
MISSED_SECONDS: Final = 60.0
"""A frontend that is started again is not named meanwhile: for so long one that was lost is looked out for."""
RESOLVE_SHARE: Final = 100
"""Resolving waits for the network, and batches for it: it may take a hundredth of the time at most."""


class Frontends:
    """Keeps one connection to every frontend; ``now`` is in seconds of one monotonic clock."""

    def __init__(
        self, addresses: Iterable[Address], hello: bytes, selector: selectors.BaseSelector, now: float
    ) -> None:
        self._addresses = tuple(addresses)
        self._hello = hello
        self._selector = selector
        self._connections: dict[Endpoint, Connection] = {}
        self._known: dict[Address, list[Endpoint]] = {}
        self._unresolved: set[Address] = set()
        self._leaving = False
        self._has_names = any(each.is_name for each in self._addresses)
        self._resolved_at = now
        self._resolving_took = 0.0
        self._missed_until = now
        self._resolve(now)

    def tick(self, now: float) -> None:
        """Does what is due at ``deadline``."""
        if now >= self._next_resolve():
            self._resolve(now)
        for connection in self._connections.values():
            connection.tick(now)

    def deadline(self) -> float:
        """When ``tick`` has something to do next."""
        deadlines = [each.deadline for each in self._connections.values() if each.deadline is not None]
        return min([*deadlines, self._next_resolve()])

    def leave(self, now: float) -> None:
        """Says goodbye to all frontends."""
        self._leaving = True
        for connection in self._connections.values():
            connection.leave(now)

    @property
    def left(self) -> bool:
        """Whether every frontend has said goodbye, too."""
        return all(each.phase is Phase.CLOSED for each in self._connections.values())

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    def abandon(self) -> None:
        """See ``Connection.abandon``."""
        for connection in self._connections.values():
            connection.abandon()

    def _resolve(self, now: float) -> None:
        began = time.monotonic()
        for address in self._addresses:
            self._resolve_one(address)
        self._resolved_at, self._resolving_took = now, time.monotonic() - began
        self._connect({endpoint for found in self._known.values() for endpoint in found}, now)

    def _next_resolve(self) -> float:
        """Soon while a frontend is missing, or was until lately, which may come back under another address."""
        if self._leaving or not self._has_names:
            return math.inf
        complete = self._connections and all(each.connected for each in self._connections.values())
        missed = self._resolved_at < self._missed_until
        interval = RESOLVE_INTERVAL if complete and not missed else RESOLVE_INTERVAL_MISSING
        return self._resolved_at + max(interval, RESOLVE_SHARE * self._resolving_took)

    def _resolve_one(self, address: Address) -> None:
        if address in self._known and not address.is_name:
            return
        try:
            self._known[address] = resolve(address)
            self._unresolved.discard(address)
        except (OSError, UnicodeError) as error:
            if address not in self._unresolved:
                log(f"Can't resolve {address}: {error}; trying again", "warning")
            self._unresolved.add(address)

    def _connect(self, wanted: set[Endpoint], now: float) -> None:
        """Adds connections to new frontends; drops those that are no longer named and don't work either."""
        for endpoint, connection in list(self._connections.items()):
            if endpoint not in wanted and not connection.connected:
                connection.close()
                del self._connections[endpoint]
                self._missed_until = now + MISSED_SECONDS
        for endpoint in wanted - self._connections.keys():
            self._connections[endpoint] = Connection(endpoint, self._hello, self._selector, now)
