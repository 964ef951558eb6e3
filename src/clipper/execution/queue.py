"""The queries that wait for one model version, the most urgent first."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator
from operator import attrgetter

from clipper.execution.flight import MAX_TRIES, Flight

BATCH_BYTES = 64 << 20
"""A batch's inputs are cut off here, far below what one message of the wire can hold."""

QUEUE_BYTES = 256 << 20
"""Inputs that wait for one model version take at most this: more than is answered within any sensible deadline."""

_SUSPECT = MAX_TRIES - 1
"""Tries of a query that the next replica to die of its batch condemns: it must be in that batch alone."""

_FEW = 64

_deadline_of = attrgetter("deadline")
_input_of = attrgetter("input")


class DeadlineQueue:
    """Earliest deadline first, over all applications of a model version; first come first served among equals.

    ``waiting`` is their number, ``bytes`` the size of their inputs, ``latest`` no earlier than the latest deadline of
    those that wait. Queries of one application come in the order of their deadlines: so most go to the end of the
    line. A flight that is over before its turn leaves its place: places are cleared once most of them are empty.
    """

    __slots__ = ("_line", "_suspects", "bytes", "latest", "waiting")

    def __init__(self) -> None:
        self._line: deque[Flight] = deque()
        self._suspects = False  # whether one may be in the line
        self.latest = 0.0
        self.bytes = 0
        self.waiting = 0

    def push(self, flight: Flight) -> None:
        self.waiting += 1
        self.bytes += len(flight.input)
        flight.queued = True
        if flight.tries == _SUSPECT:
            self._suspects = True
        if not self._line or flight.deadline >= self.latest:
            self.latest = flight.deadline
            self._line.append(flight)
        else:
            insort(self._line, flight, key=_deadline_of)

    def discard(self, flight: Flight) -> None:
        """Takes out a flight that is queued and over."""
        self._leave(flight)
        if len(self._line) > 2 * self.waiting + _FEW:
            self._line = deque(each for each in self._line if each.queued)

    def head(self) -> Flight | None:
        """The most urgent flight."""
        line = self._line
        while line and not line[0].queued:
            line.popleft()
        return line[0] if line else None

    def pop(self) -> Flight:
        """Removes the flight that ``head`` has shown."""
        flight = self._line.popleft()
        self._leave(flight)
        return flight

    def take(self, most: int) -> list[Flight]:
        """Removes the next batch: at most ``most`` flights and 64 MiB of input, but one flight if there is one.

        A suspect comes alone.
        """
        if self._suspects or self.bytes > BATCH_BYTES:
            return self._take_within_bounds(most)
        batch: list[Flight] = []
        line = self._line
        while line and len(batch) < most:
            flight = line.popleft()
            if flight.queued:
                flight.queued = False
                batch.append(flight)
        self.waiting -= len(batch)
        self.bytes -= sum(map(len, map(_input_of, batch)))
        return batch

    def _take_within_bounds(self, most: int) -> list[Flight]:
        batch: list[Flight] = []
        size = 0
        while len(batch) < most and (flight := self.head()) is not None:
            size += len(flight.input)
            if batch and (size > BATCH_BYTES or flight.tries == _SUSPECT or batch[0].tries == _SUSPECT):
                break
            batch.append(self.pop())
        self._suspects = any(each.tries == _SUSPECT for each in self._line)
        return batch

    def expired(self, now: float) -> list[Flight]:
        """Removes the flights at the head whose time is over: while every replica is busy nobody else does."""
        gone: list[Flight] = []
        while (flight := self.head()) is not None and flight.deadline <= now:
            gone.append(self.pop())
        return gone

    def drain(self) -> Iterator[Flight]:
        """Removes everything, most urgent first."""
        while self.head() is not None:
            yield self.pop()

    def _leave(self, flight: Flight) -> None:
        flight.queued = False
        self.waiting -= 1
        self.bytes -= len(flight.input)
