"""Keeps a frontend in step with the store, without the data path ever waiting for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from clipper.errors import StoreError
from clipper.processor import QueryIds
from clipper.store.base import Store
from clipper.types import Registry, Replica

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.05
"""How often the store is asked whether anything changed: SQLite has no way to tell other processes by itself. One
look takes a few microseconds, so that this is well under a thousandth of a core."""


Result = TypeVar("Result")


class RegistryFeed:
    """The store, used from one worker thread, on behalf of the event loop."""

    def __init__(self, store: Store, frontend: str, apply: Callable[[Registry], None]) -> None:
        """``apply`` is called, on the loop, with each new registry."""
        self._store = store
        self._frontend = frontend
        self._apply = apply
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._replicas: Sequence[Replica] = ()
        self._revision = 0
        self._reported = False
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
        self._replicas = replicas
        self._reported = False

    def read(self) -> None:
        """Takes up the registry as it is now; blocks, so it is for start-up only."""
        self._take_up(self._store.read())

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
            await self._on_thread(self._store.sign_off, self._frontend)
        except StoreError as error:
            log.warning("could not sign off: %s", error.cause)
        self._thread.shutdown()
        self._store.close()

    async def _look(self) -> None:
        registry = await self._on_thread(self._news)
        if registry is not None:
            self._take_up(registry)
        if not self._reported:
            await self._report()

    async def _report(self) -> None:
        self._reported = True
        try:
            await self._on_thread(self._store.report, self._frontend, self._revision, self._replicas)
        except StoreError:
            self._reported = False
            raise

    def _news(self) -> Registry | None:
        return self._store.read() if self._store.changed() else None

    def _take_up(self, registry: Registry) -> None:
        self._apply(registry)
        self._revision = registry.revision
        self._reported = False

    async def _on_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

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
