"""The queries that wait for one model version, the most urgent first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from clipper.execution.flight import Flight

BATCH_BYTES = 64 << 20
"""A batch's inputs are cut off here, far below what one message of the wire can hold."""

QUEUE_BYTES = 256 << 20
"""Inputs that wait for one model version take at most this: more than is answered within any sensible deadline."""


class DeadlineQueue:
    """Earliest deadline first, over all applications of a model version; first come first served among equals."""

    __slots__ = ("_bytes", "_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Flight]] = []
        self._sequence = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._heap)

    def has_room(self, flight: Flight) -> bool:
        """Whether the inputs that wait, with this one, are within the bound in bytes; one alone always is."""
        return not self._heap or self._bytes + len(flight.input) <= QUEUE_BYTES

    def push(self, flight: Flight) -> None:
        self._sequence += 1
        self._bytes += len(flight.input)
        heapq.heappush(self._heap, (flight.deadline, self._sequence, flight))

    def take(self, most: int, useless: Callable[[Flight], bool]) -> tuple[list[Flight], list[Flight]]:
        """Removes the next batch: at most ``most`` flights and 64 MiB of input, but one flight if there is one.

        A suspect comes alone. Returns the batch, and beside it the flights met on the way that ``useless`` said
        nobody can be served by.
        """
        batch: list[Flight] = []
        dropped: list[Flight] = []
        room = BATCH_BYTES
        heap = self._heap
        while heap and len(batch) < most:
            flight = heap[0][2]
            if useless(flight):
                dropped.append(flight)
            elif not batch or (len(flight.input) <= room and not flight.suspect and not batch[0].suspect):
                batch.append(flight)
                room -= len(flight.input)
            else:
                break
            self._pop()
        return batch, dropped

    def expired(self, now: float) -> Iterator[Flight]:
        """Removes the flights at the head whose time is over: while every replica is busy nobody else does."""
        while self._heap and self._heap[0][2].deadline <= now:
            yield self._pop()

    def drain(self) -> Iterator[Flight]:
        """Removes everything, most urgent first."""
        while self._heap:
            yield self._pop()

    def _pop(self) -> Flight:
        flight = heapq.heappop(self._heap)[2]
        self._bytes -= len(flight.input)
        return flight
