"""The server of a connection, as the connection sees it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from clipper.errors import ClipperError
from clipper.frontend.exchange import Exchange
from clipper.frontend.heads import KnownHeads
from clipper.frontend.limits import Limits

if TYPE_CHECKING:
    from clipper.frontend.connection import Connection

Handler = Callable[[Exchange], None]


class Host(Protocol):
    """``statuses`` counts the answers by their status."""

    handler: Handler
    limits: Limits
    loop: asyncio.AbstractEventLoop
    known_heads: KnownHeads
    statuses: defaultdict[int, int]

    def admit(self, connection: Connection) -> ClipperError | None:
        """Takes up a new connection, or says why not."""
        ...

    def forget(self, connection: Connection) -> None:
        """Lets go of a connection that is lost."""
        ...
