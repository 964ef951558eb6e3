"""Long work on the event loop, in short steps: whoever else has something to do comes in between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Generator
from typing import Final, TypeVar

from clipper.errors import InternalError
from clipper.frontend.exchange import Exchange, log_bug

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that pauses after each step, of some hundred microseconds at most; and its result."""

TURN_SECONDS: Final = 0.0005
"""The loop is given back after the step in which this time is over, be there one work to do or many."""


class Turns:
    """Shares the loop's time among the requests that take long: one step of each, round and round."""

    def __init__(self) -> None:
        self._works: deque[tuple[Exchange, Steps[None]]] = deque()
        self._due = False

    def add(self, exchange: Exchange, steps: Steps[None]) -> None:
        """Has ``steps`` done for ``exchange``, to be answered in one of them; no further once its client has gone."""
        self._works.append((exchange, steps))
        self._plan()

    def _plan(self) -> None:
        if self._works and not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._due = False
        end = time.perf_counter() + TURN_SECONDS
        while self._works:
            exchange, steps = self._works.popleft()
            if not exchange.closed and _goes_on(exchange, steps):
                self._works.append((exchange, steps))
            if time.perf_counter() >= end:
                break
        self._plan()


def _goes_on(exchange: Exchange, steps: Steps[None]) -> bool:
    """Does one step; whether there are more."""
    try:
        next(steps)
    except StopIteration:
        return False
    except Exception:
        log_bug("a step failed", exchange)
        if exchange.response is None:
            cause = "the query frontend failed on this request: its log holds the traceback"
            exchange.reply(500, InternalError(cause).to_json())
        return False
    return True
