"""Names for queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar


class QueryIds:
    """Ids out of blocks that the store reserved: unique over frontends and restarts, and below 2^53."""

    BLOCK: ClassVar[int] = 1 << 32

    def __init__(self, reserve: Callable[[Callable[[int], None]], None], first: int) -> None:
        """``reserve(then)`` gets the first id of another block and calls ``then`` with it, soon."""
        self._reserve = reserve
        self._next = first
        self._low = first + self.BLOCK // 2
        self._end = first + self.BLOCK
        self._reserved: int | None = None

    def take(self) -> int:
        query_id = self._next
        self._next = query_id + 1
        if self._next >= self._low:
            self._refill()
        return query_id

    def has_given(self, query_id: int) -> bool:
        """Whether it is one of the last block's, and taken."""
        return self._end - self.BLOCK <= query_id < self._next

    def _refill(self) -> None:
        if self._next >= self._end and self._reserved is not None:
            self._next, self._reserved = self._reserved, None
            self._low, self._end = self._next + self.BLOCK // 2, self._next + self.BLOCK
        elif self._low < self._end:
            self._low = self._end
            self._reserve(self._take_note)

    def _take_note(self, first: int) -> None:
        self._reserved = first
