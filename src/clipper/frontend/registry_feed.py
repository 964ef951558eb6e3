"""Keeps a frontend in step with the store, without the data path ever waiting for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from clipper.errors import StoreError
from clipper.frontend.reach import NEITHER, READING, WRITING, Reach
from clipper.frontend.store_thread import StoreThread
from clipper.query_ids import QueryIds
from clipper.store.base import LEASE_SECONDS, Store
from clipper.types import Registry, Replica

log = logging.getLogger(__name__)


class RegistryFeed:
    """The registry's store, on behalf of the event loop. What is known is served on without it."""

    def __init__(
        self,
        store: Store,
        frontend: str,
        apply: Callable[[Registry], None],
        thread: StoreThread,
        metrics_address: str = "",
    ) -> None:
        """``apply`` is called, on the loop, with each new registry; ``metrics_address`` is told to the store."""
        self._store = store
        self._frontend = frontend
        self._metrics_address = metrics_address
        self._apply = apply
        self._loop = asyncio.get_running_loop()
        self._thread = thread
        self._wanted_ids: deque[Callable[[int], None]] = deque()
        self._replicas: Sequence[Replica] = ()
        self._revision = 0
        self._reported = False
        self._report_again = 0.0
        self.reach = Reach("the store is out of reach, serving what is known", "the store is back")

    # -- on the loop -----------------------------------------------------------------------------------------------

    def reserve_query_ids(self) -> int:
        """The first id of a block of its own; blocks, so it is for start-up, before ``start``."""
        return self._store.reserve_query_ids(QueryIds.BLOCK)

    def predecessors_replicas(self) -> list[Replica]:
        """The containers of the process that had this frontend's name just before; blocks, for start-up."""
        return [replica for replica in self._store.replicas() if replica.frontend == self._frontend]

    def others_replicas(self) -> list[Replica]:
        """The containers that the cluster's other frontends are connected to; blocks, for start-up."""
        return [replica for replica in self._store.replicas() if replica.frontend != self._frontend]

    def start(self) -> None:
        """Takes up the registry as it is, and from now on each change soon after it was committed."""
        self._take_up(self._store.read())

    def reserve_more(self, then: Callable[[int], None]) -> None:
        """Reserves another block in the background; ``then`` is called on the loop once it is there."""
        self._wanted_ids.append(then)
        self._thread.wake()

    def report(self, replicas: Sequence[Replica]) -> None:
        """Has the store told, at once, which containers are connected."""
        self._replicas = replicas
        self._reported = False
        self._thread.wake()

    def _take_up(self, registry: Registry) -> None:
        self._apply(registry)
        self._revision = registry.revision
        self._reported = False
        self._thread.wake()

    # -- on the thread ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        """As ``clipper.frontend.store_thread.Looker``."""
        if self._attempt(READING, self._follow):
            self._attempt(WRITING, self._tell)

    def close(self) -> None:
        """The last report holds for its time: a successor sees which containers to expect."""
        self._attempt(NEITHER, self._store.close)

    def _follow(self) -> None:
        if self._store.changed():
            self._loop.call_soon_threadsafe(self._take_up, self._store.read())

    def _tell(self) -> None:
        while self._wanted_ids:
            first = self._store.reserve_query_ids(QueryIds.BLOCK)
            self._loop.call_soon_threadsafe(self._wanted_ids.popleft(), first)
        if not self._reported or time.monotonic() >= self._report_again:
            self._reported = True
            self._report_again = time.monotonic() + LEASE_SECONDS / 3
            self._store.report(self._frontend, self._revision, self._replicas, self._metrics_address)

    def _attempt(self, doing: str, work: Callable[[], None]) -> bool:
        try:
            work()
        except StoreError as error:
            self._reported = False
            self.reach.failed(doing, error.cause)
            return False
        except Exception:  # the thread lives on, for the journal's sake
            if self.reach.up:
                log.exception("the store's thread met a bug")
            self.reach.failed(doing, "this is a bug of Clipper: the log of the query frontend has its traceback")
            return False
        self.reach.worked(doing)
        return True
