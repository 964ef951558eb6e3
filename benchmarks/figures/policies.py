"""Four ways to choose what leaves a full cache, each as small as it can be, to be compared on traces.

All are bounded by the sum of their entries' costs; equal costs make that a bound on their number. A trace is replayed
by ``fetch``, and by ``put`` where that found nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Protocol


class Policy(Protocol):
    """A cache of costs, bounded by ``limit``, which is the constructor's argument."""

    def fetch(self, key: Hashable) -> bool:
        """Whether ``key`` is held; the policy takes note that it was asked for."""
        ...

    def put(self, key: Hashable, cost: int) -> None:
        """Drops others until there is room, then holds ``key``, which is not held yet and costs at most the limit."""
        ...


class Entry:
    """What a policy knows of a key that it holds."""

    __slots__ = ("cost", "reads")

    def __init__(self, cost: int) -> None:
        self.cost = cost
        self.reads = 0


class Lru:
    """The entry that was not read for the longest time leaves."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._costs: OrderedDict[Hashable, int] = OrderedDict()

    def fetch(self, key: Hashable) -> bool:
        if key not in self._costs:
            return False
        self._costs.move_to_end(key)
        return True

    def put(self, key: Hashable, cost: int) -> None:
        self._room -= cost
        while self._room < 0:
            self._room += self._costs.popitem(last=False)[1]
        self._costs[key] = cost


class Clock:
    """The oldest entry leaves; one that was read since it was last looked at becomes the newest instead."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._entries: dict[Hashable, Entry] = {}
        self._ahead: deque[Hashable] = deque()

    def fetch(self, key: Hashable) -> bool:
        entry = self._entries.get(key)
        if entry is None:
            return False
        entry.reads = 1
        return True

    def put(self, key: Hashable, cost: int) -> None:
        self._room -= cost
        while self._room < 0:
            self._look_at(self._ahead.popleft())
        self._entries[key] = Entry(cost)
        self._ahead.append(key)

    def _look_at(self, key: Hashable) -> None:
        entry = self._entries[key]
        if entry.reads:
            entry.reads = 0
            self._keep(key)
        else:
            self._room += self._entries.pop(key).cost

    def _keep(self, key: Hashable) -> None:
        self._ahead.append(key)


class Sieve(Clock):
    """As CLOCK, but an entry that was read keeps its place in the order of arrival (Zhang et al., NSDI 2024).

    So the hand meets those that came since before it meets those that it spared: new entries must prove themselves
    quickly. ``_passed`` is what the hand has passed on its way from the oldest entry to the newest.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._passed: deque[Hashable] = deque()

    def put(self, key: Hashable, cost: int) -> None:
        self._room -= cost
        while self._room < 0:
            if not self._ahead:
                self._ahead, self._passed = self._passed, self._ahead
            self._look_at(self._ahead.popleft())
        self._entries[key] = Entry(cost)
        self._ahead.append(key)

    def _keep(self, key: Hashable) -> None:
        self._passed.append(key)


class S3Fifo:
    """Three queues (Yang et al., SOSP 2023): a tenth of the room is where entries prove themselves.

    From there those read twice go to the main queue, a CLOCK that counts up to three reads; of the others only the
    key is kept for a while, and one that comes back meanwhile goes to the main queue at once.
    """

    SHARE = 0.1
    MOST_READS = 3
    READS_TO_STAY = 2

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._small_limit = limit * self.SHARE
        self._small_size = 0
        self._entries: dict[Hashable, Entry] = {}
        self._small: deque[Hashable] = deque()
        self._main: deque[Hashable] = deque()
        self._ghosts: OrderedDict[Hashable, None] = OrderedDict()

    def fetch(self, key: Hashable) -> bool:
        entry = self._entries.get(key)
        if entry is None:
            return False
        if entry.reads < self.MOST_READS:
            entry.reads += 1
        return True

    def put(self, key: Hashable, cost: int) -> None:
        self._room -= cost
        while self._room < 0:
            if self._small_size > self._small_limit or not self._main:
                self._sift(self._small.popleft())
            else:
                self._look_at(self._main.popleft())
        self._entries[key] = Entry(cost)
        if key in self._ghosts:
            del self._ghosts[key]
            self._main.append(key)
        else:
            self._small.append(key)
            self._small_size += cost

    def _sift(self, key: Hashable) -> None:
        entry = self._entries[key]
        self._small_size -= entry.cost
        if entry.reads >= self.READS_TO_STAY:
            entry.reads = 0
            self._main.append(key)
            return
        self._room += self._entries.pop(key).cost
        self._ghosts[key] = None
        while len(self._ghosts) > len(self._main):
            self._ghosts.popitem(last=False)

    def _look_at(self, key: Hashable) -> None:
        entry = self._entries[key]
        if entry.reads:
            entry.reads -= 1
            self._main.append(key)
        else:
            self._room += self._entries.pop(key).cost


class OneReadS3Fifo(S3Fifo):
    """As S3-FIFO, but one read is enough to come off probation."""

    READS_TO_STAY = 1


class OneBitS3Fifo(OneReadS3Fifo):
    """And the reads are not counted but noted, as by CLOCK."""

    MOST_READS = 1

    def fetch(self, key: Hashable) -> bool:
        entry = self._entries.get(key)
        if entry is None:
            return False
        entry.reads = 1
        return True


POLICIES: dict[str, Callable[[int], Policy]] = {
    "CLOCK": Clock,
    "LRU": Lru,
    "SIEVE": Sieve,
    "S3-FIFO": S3Fifo,
    "S3-FIFO, one read": OneReadS3Fifo,
    "S3-FIFO, one bit": OneBitS3Fifo,
}
