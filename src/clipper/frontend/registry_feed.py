"""Keeps a frontend in step with the store, without the data path ever waiting for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from clipper.errors import StoreError
from clipper.processor import QueryIds
from clipper.store.base import Store
from clipper.types import Registry, Replica

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.05
"""How often the store is asked whether anything changed: SQLite has no way to tell other processes by itself. One
look takes a few microseconds, so that this is well under a thousandth of a core."""


class RegistryFeed:
    """The store, used from one worker thread, on behalf of the event loop."""

    def __init__(self, store: Store, frontend: str, apply: Callable[[Registry], None]) -> None:
        """``apply`` is called, on the loop, with each new registry."""
        self._store = store
        self._frontend = frontend
        self._apply = apply
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._unreported: Sequence[Replica] | None = []
        self._stopping = asyncio.Event()
        self.store_up = True

    def reserve_query_ids(self) -> int:
        """The first id of a block of its own; blocks, so it is for start-up only."""
        return self._store.reserve_query_ids(QueryIds.BLOCK)

    def reserve_more(self, then: Callable[[int], None]) -> None:
        """Reserves another block in the background; ``then`` is called on the loop once it is there."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, self.reserve_query_ids)
        future.add_done_callback(lambda done: then(done.result()))

    def report(self, replicas: Sequence[Replica]) -> None:
        """Has the store told, soon, which containers are connected."""
        self._unreported = replicas

    def read(self) -> None:
        """Takes up the registry as it is now; blocks, so it is for start-up only."""
        self._apply(self._store.read())

    async def follow(self) -> None:
        """Looks for changes until stopped. While the store is out of reach, what is known goes on being served."""
        while not self._stopping.is_set():
            try:
                await self._look()
                self._note_store(True, "")
            except StoreError as error:
                self._note_store(False, error.cause)
            await _wait(self._stopping, LOOK_SECONDS)

    async def stop(self) -> None:
        """Says good-bye to the store: no replica of this frontend is listed any more."""
        self._stopping.set()
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._store.set_replicas, self._frontend, [])
        except StoreError as error:
            log.warning("could not sign off: %s", error.cause)
        self._thread.shutdown()
        self._store.close()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        replicas, self._unreported = self._unreported, None
        try:
            registry = await loop.run_in_executor(self._thread, self._exchange, replicas)
        except StoreError:
            self._unreported = self._unreported if self._unreported is not None else replicas
            raise
        if registry is not None:
            self._apply(registry)

    def _exchange(self, replicas: Sequence[Replica] | None) -> Registry | None:
        if replicas is not None:
            self._store.set_replicas(self._frontend, replicas)
        return self._store.read() if self._store.changed() else None

    def _note_store(self, up: bool, cause: str) -> None:
        if up == self.store_up:
            return
        self.store_up = up
        if up:
            log.info("the store is back")
        else:
            log.warning("the store is out of reach, serving what is known: %s", cause)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
