"""Lets threads use what belongs to one thread at a time, one after the other."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

from clipper.errors import Unavailable

T = TypeVar("T")

WAIT_SECONDS: Final = 30.0


class Turns(Generic[T]):
    """Gives each thread its turn at ``thing``.

    ``wait`` is how long, in seconds, one request waits for those before it; then it fails with Unavailable.
    """

    def __init__(self, thing: T, wait: float = WAIT_SECONDS) -> None:
        self._thing = thing
        self._wait = wait
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def take(self) -> Iterator[T]:
        if not self._lock.acquire(timeout=self._wait):
            raise Unavailable(f"the store did not get to this request in {self._wait:g} s: see its disk, try again")
        try:
            yield self._thing
        finally:
            self._lock.release()
