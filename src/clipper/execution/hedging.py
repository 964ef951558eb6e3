"""Queries whose replica is slower than it should be are given to another one as well; the first answer counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clipper.execution.flight import Flight
from clipper.execution.replica import Replica

HEDGE_SHARE = 0.05
"""Of all queries sent to replicas, at most so many are sent twice (Dean and Barroso, The Tail at Scale, 2013)."""

MAX_CREDIT = 256.0


class HedgeBudget:
    """How many queries may be sent twice: each that is sent once earns a share of one."""

    __slots__ = ("_credit",)

    def __init__(self) -> None:
        self._credit = 16.0

    def earn(self, queries: int) -> None:
        self._credit = min(MAX_CREDIT, self._credit + HEDGE_SHARE * queries)

    def spend(self) -> bool:
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True


def overdue(replicas: Sequence[Replica], now: float) -> Iterator[Flight]:
    """The flights of overdue batches that nobody else has yet, if there is a replica to take them."""
    if all(replica.draining or replica.overdue(now) for replica in replicas):
        return
    for replica in replicas:
        for batch in replica.outstanding.values():
            if batch.late_at <= now:
                yield from (flight for flight in batch.flights if _is_hedgeable(flight, now))


def next_overdue(replicas: Sequence[Replica], now: float) -> float | None:
    """When the next batch will be overdue; None if none can be, or nobody could help."""
    if len(replicas) < 2:
        return None
    return min((b.late_at for r in replicas for b in r.outstanding.values() if b.late_at > now), default=None)


def _is_hedgeable(flight: Flight, now: float) -> bool:
    """Not one that was in a replica that died: it may kill two at once."""
    return bool(flight.waiters) and not (flight.hedged or flight.queued or flight.tries) and flight.deadline > now
