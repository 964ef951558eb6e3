"""Lets the threads of the management frontend use one store, one after the other."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

from clipper.errors import StoreConflict, Unavailable
from clipper.store.base import Store
from clipper.types import Registry, Replica

ATTEMPTS: Final = 5
WAIT_SECONDS: Final = 30.0


class Registrar:
    """Reads a store, and commits what rules decide. All methods block, and raise StoreError as the store does.

    ``wait`` is how long, in seconds, one request waits for those before it; then it fails with Unavailable.
    """

    def __init__(self, store: Store, wait: float = WAIT_SECONDS) -> None:
        self._store = store
        self._wait = wait
        self._lock = threading.Lock()

    def read(self) -> Registry:
        with self._turn() as store:
            return store.read()

    def replicas(self) -> list[Replica]:
        with self._turn() as store:
            return store.replicas()

    def apply(self, rule: Callable[[Registry], Registry]) -> None:
        """Commits what ``rule`` makes of the registry; decides again when another process was faster.

        Raises:
            StoreConflict: another process was faster ``ATTEMPTS`` times.
            ClipperError: what ``rule`` raises.
        """
        for _ in range(ATTEMPTS):
            with self._turn() as store, contextlib.suppress(StoreConflict):
                before = store.read()
                store.commit(before, rule(before))
                return
        raise StoreConflict(f"other changes came in between {ATTEMPTS} times and nothing was changed: try again")

    @contextlib.contextmanager
    def _turn(self) -> Iterator[Store]:
        if not self._lock.acquire(timeout=self._wait):
            raise Unavailable(f"the store did not get to this request in {self._wait:g} s: see its disk, try again")
        try:
            yield self._store
        finally:
            self._lock.release()
