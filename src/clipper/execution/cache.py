"""Outputs that need no model: the function cache of the paper (section 4.2)."""

from __future__ import annotations

from collections import OrderedDict

ENTRY_BYTES = 320
"""What an entry takes beside its input and output: key tuple, list, two bytes headers, dictionary slots."""

Key = tuple[int, bytes]


class PredictionCache:
    """Maps (registration of a model version, input bytes) to an output, within a bound in bytes.

    The hash only finds an entry; the input's bytes decide, so no collision ever answers. Eviction is CLOCK (second
    chance): an entry that was read since the hand last passed stays for another round.
    """

    __slots__ = ("_bytes", "_entries", "_limit")

    def __init__(self, limit: int) -> None:
        """``limit`` counts inputs, outputs and overhead, in bytes; 0 turns the cache off."""
        self._limit = limit
        self._bytes = 0
        self._entries: OrderedDict[Key, list[bytes | bool]] = OrderedDict()

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
        entry[1] = True
        return entry[0]  # type: ignore[return-value]

    def put(self, key: Key, output: bytes) -> None:
        """Remembers an output; one that is larger than the whole cache is not kept."""
        cost = _cost(key, output)
        if cost > self._limit:
            return
        if key in self._entries:
            self._remove(key)
        self._bytes += cost
        self._entries[key] = [output, False]
        while self._bytes > self._limit:
            self._evict()

    def forget(self, registration: int) -> None:
        """Drops every output of a model version that was deleted."""
        for key in [key for key in self._entries if key[0] == registration]:
            self._remove(key)

    def _evict(self) -> None:
        while True:
            key, entry = self._entries.popitem(last=False)
            if not entry[1]:
                self._bytes -= _cost(key, entry[0])  # type: ignore[arg-type]
                return
            entry[1] = False
            self._entries[key] = entry

    def _remove(self, key: Key) -> None:
        self._bytes -= _cost(key, self._entries.pop(key)[0])  # type: ignore[arg-type]


def _cost(key: Key, output: bytes) -> int:
    return ENTRY_BYTES + len(key[1]) + len(output)
