"""The query frontend's process: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from importlib.metadata import version as installed_version
from typing import Any

import uvloop

from clipper.catalog import Catalog
from clipper.config import Config, load_config
from clipper.errors import ClipperError
from clipper.execution.cache import PredictionCache
from clipper.execution.executor import Executor
from clipper.frontend.api import Api
from clipper.frontend.http import HttpServer, Limits
from clipper.frontend.journal_feed import JournalFeed
from clipper.frontend.pages import Pages
from clipper.frontend.peers import MetricsPeers
from clipper.frontend.registry_feed import RegistryFeed
from clipper.frontend.replicas import ConnectedReplicas
from clipper.frontend.request_log import logging_requests
from clipper.frontend.store_thread import StoreThread
from clipper.log_format import log_to_stderr
from clipper.metrics import Metrics
from clipper.process import collect_garbage_rarely, die_with_parent
from clipper.processor import Processor
from clipper.query_ids import QueryIds
from clipper.rpc.listener import Listener
from clipper.store.journal import wall_clock
from clipper.store.opening import open_journal, open_store
from clipper.types import Registry, Replica
from clipper.updater import Updater

log = logging.getLogger("clipper.frontend.server")


REUNION_SECONDS = 2.0
"""How long a frontend that was started again keeps its port closed for the containers of its predecessor: they try
every second at the latest. Nobody is told that no model is there; with other frontends on the port nobody waits."""
WELCOME_SECONDS = 12.0
"""The same for one that was added to others: containers look for new frontends every ten seconds."""
SWITCH_SECONDS = 0.0005
"""How long one thread may keep the other from running: ten times less than by default, for each waits for the other
with every feedback, and decisions are written while queries are served."""
BACKLOG = 4096
"""Connections that wait to be accepted. Of a burst, a backlog of 100 drops some, which try again a second later."""


class LoopClock:
    """Time for the data path. uvloop's own ``time`` only ticks once a millisecond and once a turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.time = time.monotonic
        self.call_at = loop.call_at


class QueryFrontend:
    """One query frontend: everything between its sockets, wired together."""

    def __init__(self, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        self._config = config
        self._loop = loop
        self._metrics = metrics = Metrics(time.monotonic, config.frontend, installed_version("clipper-serving"))
        cache = PredictionCache(config.cache_bytes)
        self._executor = Executor(cache, config.queue_limit, metrics, self)
        self._stores = StoreThread()
        address = _metrics_address(config)
        store = open_store(config.store)
        self._feed = RegistryFeed(store, config.frontend, self._take_up, self._stores, address)
        ids = QueryIds(self._feed.reserve_more, self._feed.reserve_query_ids())
        self._journal = JournalFeed(open_journal(config.store), self._note_feedback, self._stores)
        states, decisions = self._journal.states, self._journal.decisions
        self._processor = Processor(Catalog(), self._executor, ids, LoopClock(loop), metrics, states, decisions)
        self._peers = MetricsPeers(config.metrics_sockets)
        self._pages = Pages(metrics, self._peers, self._feed.reach, self._journal.reach)
        updater = Updater(self._processor, decisions, self._journal, wall_clock)
        self._api = Api(self._processor, metrics, self._pages.table(), updater)
        self._http = HttpServer(logging_requests(self._api.handle), _limits(config), loop, metrics.process.statuses)
        self._replicas = ConnectedReplicas(self._executor, config.frontend, self._feed.report)
        self._listener = Listener(self._replicas)
        metrics.process.cache_bytes = lambda: cache.size_bytes
        metrics.process.cache_entries = cache.__len__
        metrics.process.store_up = lambda: int(self._feed.reach.up)
        metrics.process.decisions_dropped = lambda: self._journal.backlog.dropped

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until ``stop`` is set, then drains: every query accepted is answered before this returns."""
        expected, patience = self._expected()
        self._feed.start()
        self._journal.start()
        for each in (self._feed, self._journal):
            self._stores.add(each)
        self._stores.start()
        await self._listen_for_containers()
        await self._peers.start(self._metrics.snapshot)
        await _first_of(self._replicas.reunite(expected, patience), stop.wait())
        collect_garbage_rarely()
        port = _shared_port(self._config)
        server = await self._loop.create_server(self._http.protocol, sock=port, backlog=BACKLOG)
        log.info("%s serves on %s:%d", self._config.frontend, self._config.host, self._config.query_port)
        await stop.wait()
        await self._drain(server)
        await self._peers.stop()
        self._journal.finish()
        await self._stores.stop()
        self._listener.close()

    def _expected(self) -> tuple[list[Replica], float]:
        """The containers without which the port is not opened, and for how many seconds at most."""
        before = self._feed.predecessors_replicas()
        return (before, REUNION_SECONDS) if before else (self._feed.others_replicas(), WELCOME_SECONDS)

    async def _listen_for_containers(self) -> None:
        if self._config.rpc_socket:
            await self._listener.listen_unix(self._config.rpc_socket)
        await self._listener.listen_tcp(self._config.host, self._config.rpc_port)

    async def _drain(self, server: asyncio.Server) -> None:
        log.info("draining: %d queries are open", self._processor.open_queries())
        self._pages.draining = True
        server.close()
        self._http.begin_drain()
        if not await self._http.drained(self._config.drain_timeout):
            log.warning("%d queries were cut off", self._processor.open_queries())

    # -- as the executor's alarms

    def wake(self) -> None:
        self._loop.call_soon(self._flush)

    def ring_at(self, when: float) -> None:
        self._loop.call_at(when, self._ring)

    def _flush(self) -> None:
        self._executor.flush(time.monotonic())

    def _ring(self) -> None:
        self._executor.ring(time.monotonic())

    def _take_up(self, registry: Registry) -> None:
        self._processor.apply(registry)
        self._api.follow_catalog()
        self._journal.registry_changed()
        log.info("registry revision %d: %d applications", registry.revision, len(registry.applications))

    def _note_feedback(self) -> None:
        self._processor.note_feedback()


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Returns when one of them is over, or raises what it has; the others are not waited for any longer."""
    tasks = [asyncio.ensure_future(each) for each in waits]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for each in rest:
        each.cancel()
    for each in done:
        each.result()


def _limits(config: Config) -> Limits:
    return Limits(
        body_bytes=config.body_limit, header_seconds=config.request_timeout, content_seconds=config.content_timeout
    )


def _metrics_address(config: Config) -> str:
    """What is bound, as programs on this machine reach it, unless the configuration says where others do."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    bound = f"[{host}]:{config.query_port}" if ":" in host else f"{host}:{config.query_port}"
    return config.metrics_address or bound


def _shared_port(config: Config) -> socket.socket:
    """The bound socket; SO_REUSEPORT lets several frontends share the port, the kernel spreads connections."""
    listening = socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind((config.host, config.query_port))
    return listening


async def _serve(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_exit, stop)
    await QueryFrontend(config, loop).run(stop)


def _stop_or_exit(stop: asyncio.Event) -> None:
    """The first signal drains; a second one ends the process at once."""
    if stop.is_set():
        os._exit(1)
    stop.set()


def main() -> None:
    log_to_stderr()
    die_with_parent(os.environ)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        config = load_config(sys.argv[1:], os.environ)
        log_to_stderr(config.log_level, config.log_format, {"frontend": config.frontend})
        uvloop.run(_serve(config))
    except (ClipperError, OSError) as error:
        log.error("the query frontend can't run: %s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
