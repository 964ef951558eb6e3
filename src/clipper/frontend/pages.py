"""The query frontend's GET endpoints: health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from clipper.frontend.exposition import render
from clipper.frontend.http import Exchange
from clipper.frontend.peers import MetricsPeers
from clipper.frontend.reach import Reach
from clipper.metrics import Metrics
from clipper.snapshot import merge

RETRY_LATER = b"Retry-After: 1\r\n"


class Pages:
    """Live: the process runs. Ready: it may be sent queries, which it may while it is not draining. That the store
    or the journal is out of reach only degrades it, since what is known goes on being served: all frontends share
    them, and a balancer that took each one off for it would end the service."""

    def __init__(self, metrics: Metrics, peers: MetricsPeers, store: Reach, journal: Reach) -> None:
        self.draining = False
        self._metrics = metrics
        self._peers = peers
        self._parts = {"store": store, "journal": journal}
        self._scrapes: set[asyncio.Task[None]] = set()

    def table(self) -> dict[bytes, Callable[[Exchange], None]]:
        return {
            b"/metrics": self.metrics,
            b"/health/live": self.live,
            b"/health/ready": self.ready,
            b"/v2/health/live": self.live,
            b"/v2/health/ready": self.ready,
        }

    def live(self, exchange: Exchange) -> None:
        exchange.reply(200, b'{"live":true}')

    def ready(self, exchange: Exchange) -> None:
        body: dict[str, object] = {"ready": not self.draining}
        body |= {name: "reachable" if part.up else "unreachable" for name, part in self._parts.items()}
        if troubles := {name: part.trouble.to_json() for name, part in self._parts.items() if part.trouble}:
            body["degraded"] = troubles
        status, headers = (503, RETRY_LATER) if self.draining else (200, b"")
        exchange.reply(status, msgspec.json.encode(body), headers=headers)

    def metrics(self, exchange: Exchange) -> None:
        """All frontends' metrics: those that share the port answer for each other."""
        scrape = asyncio.get_running_loop().create_task(self._scrape(exchange))
        self._scrapes.add(scrape)
        scrape.add_done_callback(self._scrapes.discard)

    async def _scrape(self, exchange: Exchange) -> None:
        snapshots = [self._metrics.snapshot(), *await self._peers.gather()]
        accept = (exchange.header(b"accept") or b"").decode("latin-1")
        # Rendering takes milliseconds, and no query waits for it.
        body, content_type = await asyncio.to_thread(lambda: render(merge(snapshots), accept))
        exchange.reply(200, body, content_type.encode())
