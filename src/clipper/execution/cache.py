"""Outputs that need no model: the function cache of the paper (section 4.2).

What leaves a full cache is chosen as by S3-FIFO (Yang et al., SOSP 2023), with one bit an entry instead of a counter.
Over the traces of ``benchmarks/figures/cache_policies.py`` that hits more often, on the mean, than CLOCK, LRU and
SIEVE (not where popularity turns over quickly in a large cache), and a fetch costs what CLOCK's does.

Most inputs are never asked again, so a new entry has a tenth of the room to prove itself in: read there, it moves to
the main queue, else it leaves and only its hash is remembered for a while. A key that comes back in that time was
sent away too early, and goes to the main queue at once. The main queue is a CLOCK: an entry that was read stays for
another round.
"""

from __future__ import annotations

from collections import deque

ENTRY_BYTES = 320
"""What an entry takes beside its input and output: key tuple, entry, two bytes headers, dictionary and queue slots,
and the hash of one that left."""

PROBATION = 0.1
"""The share of the room in which entries wait for their first read."""

MOST_SPARED = 64
"""``put`` spares at most this many entries: were all of them read it would else walk through the whole cache."""

Key = tuple[int, bytes]


class Entry:
    """An output, and whether it was read since the cache last thought of dropping it."""

    __slots__ = ("output", "read")

    def __init__(self, output: bytes) -> None:
        self.output = output
        self.read = False


class PredictionCache:
    """Maps (registration of a model version, input bytes) to an output, within a bound in bytes.

    The hash only finds an entry; the input's bytes decide, so no collision ever answers.
    """

    __slots__ = (
        "_bytes",
        "_entries",
        "_ghosts",
        "_limit",
        "_main",
        "_probation",
        "_probation_bytes",
        "_probation_limit",
    )

    def __init__(self, limit: int) -> None:
        """``limit`` counts inputs, outputs and overhead, in bytes; 0 turns the cache off."""
        self._limit = limit
        self._bytes = 0
        self._entries: dict[Key, Entry] = {}
        self._probation: deque[Key] = deque()
        self._probation_bytes = 0
        self._probation_limit = limit * PROBATION
        self._main: deque[Key] = deque()
        self._ghosts = Ghosts()

    @property
    def enabled(self) -> bool:
        return self._limit > 0

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def fetch(self, key: Key) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.read = True
        return entry.output

    def put(self, key: Key, output: bytes) -> None:
        """Remembers an output, if it is not larger than the whole cache; the first of a key that is held stands."""
        cost = ENTRY_BYTES + len(key[1]) + len(output)
        if cost > self._limit or key in self._entries:
            return
        self._make_room(cost)
        self._bytes += cost
        self._entries[key] = Entry(output)
        if hash(key) in self._ghosts:
            self._main.append(key)
        else:
            self._probation.append(key)
            self._probation_bytes += cost

    def forget(self, registration: int) -> None:
        """Drops every output of a model version that was deleted."""
        self._entries = {key: entry for key, entry in self._entries.items() if key[0] != registration}
        self._main = deque(key for key in self._main if key in self._entries)
        self._probation = deque(key for key in self._probation if key in self._entries)
        self._bytes = sum(_cost(key, entry) for key, entry in self._entries.items())
        self._probation_bytes = sum(_cost(key, self._entries[key]) for key in self._probation)

    def _make_room(self, needed: int) -> None:
        spared = 0
        while self._bytes + needed > self._limit:
            on_probation = self._probation_bytes > self._probation_limit or not self._main
            key = (self._probation if on_probation else self._main).popleft()
            entry = self._entries[key]
            cost = _cost(key, entry)
            if on_probation:
                self._probation_bytes -= cost
            if entry.read and spared < MOST_SPARED:
                spared += 1
                entry.read = False
                self._main.append(key)
            else:
                self._bytes -= cost
                del self._entries[key]
                if on_probation:
                    self._ghosts.add(hash(key), most=len(self._main))


def _cost(key: Key, entry: Entry) -> int:
    return ENTRY_BYTES + len(key[1]) + len(entry.output)


class Ghosts:
    """The hashes of the last keys that left probation, in two generations: the older one is forgotten as a whole."""

    __slots__ = ("_new", "_old")

    def __init__(self) -> None:
        self._new: set[int] = set()
        self._old: set[int] = set()

    def __contains__(self, key_hash: int) -> bool:
        return key_hash in self._new or key_hash in self._old

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def add(self, key_hash: int, most: int) -> None:
        """Remembers one more; about ``most`` are remembered in all."""
        if 2 * len(self._new) >= most:
            self._old, self._new = self._new, set()
        self._new.add(key_hash)
