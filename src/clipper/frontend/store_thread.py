"""The thread that talks to the stores, so that the event loop never waits for them."""

from __future__ import annotations

import asyncio
import threading
from typing import Final, Protocol

LOOK_SECONDS: Final = 0.05
"""How often stores are asked whether anything changed: SQLite has no way to tell other processes by itself. One look
takes some microseconds, so that this is about a thousandth of a core."""


class Looker(Protocol):
    """Who has something to do with a store, on the thread."""

    def look(self) -> None:
        """Does what there is to do. Raises nothing."""
        ...

    def close(self) -> None:
        """Lets go of the store, after a last look."""
        ...


class StoreThread:
    """Has each of ``lookers`` look every ``LOOK_SECONDS``, or at once after ``wake``: in turn, in one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lookers: list[Looker] = []
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._wake = threading.Event()
        self._stopping = False
        self._stopped = asyncio.Event()

    def add(self, looker: Looker) -> None:
        """To be called before ``start``."""
        self._lookers.append(looker)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    async def stop(self) -> None:
        """Has all look once more, and lets go of the stores."""
        self._stopping = True
        self._wake.set()
        await self._stopped.wait()

    def _work(self) -> None:
        while not self._stopping:
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            for looker in self._lookers:
                looker.look()
        for looker in self._lookers:
            looker.look()
            looker.close()
        self._loop.call_soon_threadsafe(self._stopped.set)
