"""The decisions of a frontend that feedback may come for: the last ones here, all of them in the journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from clipper.selection.policy import Choice, Context
from clipper.store.journal import DecisionRecord
from clipper.types import ModelVersion

RECENT: Final = 32_768
RECENT_BYTES: Final = 64 << 20
"""Decisions in memory, and the inputs in them; of those before, the journal has a copy."""

LONGEST_OUTPUT: Final = 4096
"""Bytes of an output that is kept for feedback; the loss of a longer one is not known."""


class DecidedApp(Protocol):
    """Of an application what its decisions keep."""

    @property
    def name(self) -> str: ...

    @property
    def linked(self) -> tuple[str, ...]: ...

    @property
    def epoch(self) -> int: ...

    @property
    def keeps_input(self) -> bool: ...


class Made(Protocol):
    """A query that was answered. ``outputs`` may still grow."""

    id: int
    context: Context
    asked: list[Choice]
    shadows: tuple[ModelVersion, ...]
    outputs: dict[ModelVersion, bytes]
    shadow_outputs: dict[ModelVersion, bytes]
    answered_with: bytes | None
    confidence: float

    @property
    def app(self) -> DecidedApp: ...

    def is_complete(self) -> bool:
        """Whether no output can come any more."""
        ...

    def when_complete(self, then: Callable[[], None]) -> None: ...


class Decisions:
    """Keeps what was decided, in the order of the answers. ``wake`` is called when there is some for the journal.

    A decision stays here for at least one round of ``take`` before the journal gets it: late outputs are in it, then.
    """

    def __init__(self, wake: Callable[[], None], clock: Callable[[], float]) -> None:
        """``clock`` tells the seconds since the epoch."""
        self._wake = wake
        self._clock = clock
        self._recent: dict[int, tuple[Made, float]] = {}
        self._new: list[tuple[Made, float]] = []
        self._ripe: list[tuple[Made, float]] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, query: Made) -> None:
        """A query is being answered."""
        made = (query, self._clock())
        self._recent[query.id] = made
        if not self._new:
            self._wake()
        self._new.append(made)
        self._bytes += len(query.context.data)
        while len(self._recent) > RECENT or self._bytes > RECENT_BYTES:
            oldest, _ = self._recent.pop(next(iter(self._recent)))
            self._bytes -= len(oldest.context.data)

    def forget(self, app: str, user: str) -> None:
        """Takes a user's name off the decisions of an application."""
        for query, _ in (*self._recent.values(), *self._ripe, *self._new):
            if query.context.user == user and query.app.name == app:
                query.context = query.context._replace(user="")

    def find(self, query_id: int) -> DecisionRecord | None:
        """The decision about a query, with what has come by now; None if it is not among the last."""
        made = self._recent.get(query_id)
        return None if made is None else as_record(*made)

    def find_complete(self, query_id: int, then: Callable[[DecisionRecord], None]) -> bool:
        """Has ``then`` called, at the latest at the query's deadline, with what its models say; False if unknown."""
        made = self._recent.get(query_id)
        if made is None:
            return False
        made[0].when_complete(lambda: then(as_record(*made)))
        return True

    def take(self, everything: bool = False) -> tuple[list[tuple[Made, float]], bool]:
        """What the journal is to keep now, as ``as_record`` has it; and whether there is more for the next time."""
        taken = [made for made in self._ripe if everything or made[0].is_complete()]
        self._ripe = [made for made in self._ripe if not (everything or made[0].is_complete())] + self._new
        self._new = []
        return taken, bool(self._ripe)


def as_record(query: Made, at: float) -> DecisionRecord:
    """With all outputs that have come by now."""
    app, context = query.app, query.context
    outputs = {str(model): kept_output(text) for model, text in query.outputs.items()}
    if query.shadow_outputs:
        outputs |= {str(model): kept_output(text) for model, text in query.shadow_outputs.items()}
    return DecisionRecord(
        query.id,
        app.name,
        context.user,
        at,
        app.epoch,
        app.linked,
        tuple(query.asked),
        query.shadows,
        outputs,
        None if query.answered_with is None else kept_output(query.answered_with),
        query.confidence,
        context.draw,
        context.data if app.keeps_input else b"",
    )


def kept_output(text: bytes) -> bytes:
    """An output as it is kept: what is too long becomes nothing, and its loss can't be told."""
    return text if len(text) <= LONGEST_OUTPUT else b""


def in_id_order(decisions: Sequence[tuple[Made, float]]) -> list[tuple[Made, float]]:
    """As the journal wants them."""
    return sorted(decisions, key=lambda each: each[0].id)
