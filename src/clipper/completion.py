"""Whether all that were asked have spoken, and who waits for that: feedback is about them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from clipper.lane import Lane

Listeners = list[Callable[[], None]]


class Asking(Protocol):
    """A query whose models answer, as far as those are concerned who wait for them all.

    ``unheard`` counts those that have neither answered nor failed; ``listeners`` is None while there is none.
    """

    deadline: float
    lane: Lane
    unheard: int
    listeners: Listeners | None


def is_complete(query: Asking) -> bool:
    """Whether every model that was asked has answered or failed: at the latest at the deadline."""
    return query.unheard == 0 or query.lane.time() >= query.deadline


def when_complete(query: Asking, then: Callable[[], None]) -> None:
    """Has ``then`` called, now or as soon as it is complete: what is not there yet is not wrong."""
    if is_complete(query):
        then()
    elif query.listeners is None:
        query.listeners = [then]
        query.lane.call_at(query.deadline, lambda: tell_listeners(query))
    else:
        query.listeners.append(then)


def tell_listeners(query: Asking) -> None:
    listeners, query.listeners = query.listeners, None
    for then in listeners or ():
        then()
