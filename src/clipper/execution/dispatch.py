"""Which replica takes which queries now: one pure function, called after every change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from clipper.execution.flight import Flight
from clipper.execution.queue import DeadlineQueue
from clipper.execution.replica import Replica

MUCH_SLOWER = 2.0
"""A replica that takes so many times longer for a query than another is asked after it."""


class Assignment(NamedTuple):
    """A batch for a replica (maybe empty), and the flights met that nobody can serve in time.

    ``lost``: how many of these could not have been served without the replica's margin either.
    """

    replica: Replica
    flights: list[Flight]
    late: list[Flight]
    lost: int


def assign(queue: DeadlineQueue, replicas: Sequence[Replica], now: float) -> Iterator[Assignment]:
    """Gives waiting queries to free replicas until either runs out; the caller sends each batch as it comes.

    A free replica pulls, the least busy first; of those that are idle the one that is so for longest, unless it is
    much slower: several frontends do not all prefer the same one. Idle replicas share what waits, if it saves more
    time than it costs to split it. What a replica can't finish before the deadline it leaves to a quicker one, if
    there is one that can; else it is late: to work on it would make others late in turn. Only a replica that is idle
    and can serve nobody tries one query now and then: a forecast made of old measurements must be able to prove
    itself wrong.
    """
    tried: set[int] = set()
    while queue.waiting:
        free = [each for each in replicas if each.free(queue.waiting, now) and each.replica_id not in tried]
        if not free:
            return
        replica = free[0] if len(free) == 1 else _freest(free)
        assignment = _pull(queue, replica, _share(queue.waiting, free, replica), replicas, now)
        if not assignment.flights:
            tried.add(replica.replica_id)
        yield assignment


def _freest(free: Sequence[Replica]) -> Replica:
    quick = MUCH_SLOWER * min(replica.latency.predict(1) for replica in free)
    return min(
        free,
        key=lambda each: (len(each.outstanding), each.latency.predict(1) > quick, each.last_answer),
    )


def _share(waiting: int, free: Sequence[Replica], replica: Replica) -> int:
    """How many of those that wait one of the free replicas takes, as far as its bound allows."""
    idle = sum(not each.outstanding for each in free) if len(free) > 1 else 1
    latency = replica.latency
    return -(-waiting // idle) if idle > 1 and latency.slope * waiting > latency.fixed else waiting


def _pull(queue: DeadlineQueue, replica: Replica, most: int, replicas: Sequence[Replica], now: float) -> Assignment:
    """Without those that would be late the batch is smaller, and done sooner: so it is forecast anew for each."""
    start, bound, latest = replica.available(now), min(most, replica.sizer.size()), replica.latency.latest
    margin = replica.margin if queue.latest >= start + latest(1) + replica.margin else 0.0  # unless it leaves nobody
    lost = 0
    rescue: float | None = None
    late: list[Flight] = []
    left: list[Flight] = []
    while (head := queue.head()) is not None:
        finish = start + latest(min(bound, queue.waiting))
        if head.deadline >= finish + margin:
            break
        if rescue is None:
            rescue = _rescue(replica, replicas, now)
        (left if head.deadline >= rescue else late).append(queue.pop())
        lost += head.deadline < min(finish, rescue)
    flights = queue.take(bound)
    for flight in left:
        queue.push(flight)
    if late and not flights and not left and replica.may_try(late[-1].deadline, now):
        flights.append(late.pop())
    return Assignment(replica, flights, late, lost)


def _rescue(replica: Replica, replicas: Sequence[Replica], now: float) -> float:
    """When the quickest other replica could answer one query."""
    others = (other.finish(1, now) for other in replicas if other is not replica and not other.draining)
    return min(others, default=math.inf)
