"""Which replica takes which queries now: one pure function, called after every change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clipper.execution.flight import Flight
from clipper.execution.queue import DeadlineQueue
from clipper.execution.replica import Replica


class Assignment(NamedTuple):
    """A batch for a replica (maybe empty), and the flights met that nobody can serve in time."""

    replica: Replica
    flights: list[Flight]
    late: list[Flight]


def assign(queue: DeadlineQueue, replicas: Sequence[Replica], now: float) -> Iterator[Assignment]:
    """Gives waiting queries to free replicas until either runs out; the caller sends each batch as it comes.

    A free replica pulls, the least busy first and the fastest among equals; what it can't finish before the
    deadline is left out: to work on it would make others late in turn. Only an idle replica that can serve nobody
    tries the query with the most time left: a forecast made of old measurements must be able to prove itself wrong.
    """
    while queue:
        replica = _freest(replicas)
        if replica is None:
            return
        yield _pull(queue, replica, now)


def _freest(replicas: Sequence[Replica]) -> Replica | None:
    free = [replica for replica in replicas if replica.free]
    if len(free) < 2:
        return free[0] if free else None
    return min(free, key=lambda replica: (len(replica.outstanding), replica.latency.predict(1)))


def _pull(queue: DeadlineQueue, replica: Replica, now: float) -> Assignment:
    size = min(replica.sizer.size(), len(queue))
    finish = replica.finish(size, now)
    flights, late = queue.take(size, lambda flight: flight.deadline < finish)
    if not flights and not replica.outstanding and late and late[-1].deadline > now:
        flights.append(late.pop())
    return Assignment(replica, flights, late)
