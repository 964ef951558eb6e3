"""The queries that wait for one model version, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from clipper.execution.flight import MAX_TRIES, Flight

BATCH_BYTES = 64 << 20
"""A batch's inputs are cut off here, far below what one message of the wire can hold."""

QUEUE_BYTES = 256 << 20
"""Inputs that wait for one model version take at most this: more than is answered within any sensible deadline."""

_SUSPECT = MAX_TRIES - 1
_FEW = 64

Entry = tuple[float, int, Flight]


class DeadlineQueue:
    """Earliest deadline first, over all applications of a model version; first come first served among equals.

    ``waiting`` is their number, ``bytes`` the size of their inputs. A flight that is over before its turn only leaves
    its place: places are cleared once most of them are empty.
    """

    __slots__ = ("_heap", "_sequence", "bytes", "waiting")

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._sequence = 0
        self.bytes = 0
        self.waiting = 0

    def push(self, flight: Flight) -> None:
        self._sequence = sequence = self._sequence + 1
        self.waiting += 1
        self.bytes += len(flight.input)
        flight.queued = True
        heappush(self._heap, (flight.deadline, sequence, flight))

    def discard(self, flight: Flight) -> None:
        """Takes out a flight that is queued and over."""
        self._leave(flight)
        if len(self._heap) > 2 * self.waiting + _FEW:
            self._heap = [entry for entry in self._heap if entry[2].queued]
            heapify(self._heap)

    def head(self) -> Flight | None:
        """The most urgent flight."""
        heap = self._heap
        while heap and not heap[0][2].queued:
            heappop(heap)
        return heap[0][2] if heap else None

    def pop(self) -> Flight:
        """Removes the flight that ``head`` has shown."""
        flight = heappop(self._heap)[2]
        self._leave(flight)
        return flight

    def take(self, most: int) -> list[Flight]:
        """Removes the next batch: at most ``most`` flights and 64 MiB of input, but one flight if there is one.

        A suspect comes alone.
        """
        batch: list[Flight] = []
        size = 0
        heap = self._heap
        while heap and len(batch) < most:
            flight = heap[0][2]
            if flight.queued:
                more = len(flight.input)
                if batch and (size + more > BATCH_BYTES or flight.tries == _SUSPECT or batch[0].tries == _SUSPECT):
                    break
                size += more
                flight.queued = False
                batch.append(flight)
            heappop(heap)
        self.waiting -= len(batch)
        self.bytes -= size
        return batch

    def expired(self, now: float) -> list[Flight]:
        """Removes the flights at the head whose time is over: while every replica is busy nobody else does."""
        gone: list[Flight] = []
        heap = self._heap
        while heap and (heap[0][2].deadline <= now or not heap[0][2].queued):
            flight = heappop(heap)[2]
            if flight.queued:
                self._leave(flight)
                gone.append(flight)
        return gone

    def drain(self) -> Iterator[Flight]:
        """Removes everything, most urgent first."""
        while self._heap:
            flight = heappop(self._heap)[2]
            if flight.queued:
                self._leave(flight)
                yield flight

    def _leave(self, flight: Flight) -> None:
        flight.queued = False
        self.waiting -= 1
        self.bytes -= len(flight.input)
