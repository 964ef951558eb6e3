"""The decisions of a frontend that feedback may come for: the last ones here, all of them in the journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from clipper.completion import Asking, is_complete, when_complete
from clipper.selection.policy import Choice, Context
from clipper.store.journal import DecisionRecord, KeptDecision, keep_decision, open_decision
from clipper.types import ModelVersion

RECENT: Final = 65_536
RECENT_BYTES: Final = 32 << 20
"""Decisions in memory, once the journal has a copy; it alone has those before."""

LONGEST_OUTPUT: Final = 4096
"""Bytes of an output that is kept for feedback; the loss of a longer one is not known."""


_encode: Final = msgspec.msgpack.encode


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


class Made(Asking, Protocol):
    """A query that was answered."""

    id: int
    context: Context
    shadows: tuple[ModelVersion, ...]
    answered_with: bytes | None
    confidence: float

    @property
    def app(self) -> DecidedApp: ...

    @property
    def asked(self) -> Sequence[Choice]: ...

    def said(self) -> dict[ModelVersion, bytes]:
        """What its models, and the shadows, have said by now: more may come until it is complete."""
        ...


class Decisions:
    """Keeps what was decided. ``wake`` is called when there is something for the journal.

    A query stays as it is for at least one round of ``take``, and until it is complete: late outputs are in it, then.
    Once it was taken its record is enough, which is a tenth as large.
    """

    def __init__(self, wake: Callable[[], None], clock: Callable[[], float]) -> None:
        """``clock`` tells the seconds since the epoch."""
        self._wake = wake
        self._clock = clock
        self._open: dict[int, tuple[Made, float]] = {}
        self._kept: dict[int, KeptDecision] = {}
        self._order: deque[int] = deque()  # a dict takes ever longer to find its first key while these are deleted
        self._bytes = 0
        self._new: list[tuple[Made, float]] = []
        self._ripe: list[tuple[Made, float]] = []

    def __len__(self) -> int:
        return len(self._open) + len(self._kept)

    def add(self, query: Made) -> None:
        """A query is being answered."""
        made = (query, self._clock())
        self._open[query.id] = made
        if not self._new:
            self._wake()
        self._new.append(made)

    def keep(self, decisions: Sequence[KeptDecision]) -> None:
        """Has the records of queries that were taken in their place."""
        for each in decisions:
            del self._open[each.query_id]
            self._kept[each.query_id] = each
            self._order.append(each.query_id)
            self._bytes += len(each.record)
        while len(self._order) > RECENT or self._bytes > RECENT_BYTES:
            self._bytes -= len(self._kept.pop(self._order.popleft()).record)

    def forget(self, app: str, user: str) -> None:
        """Takes a user's name off the decisions of an application."""
        for query, _ in self._open.values():
            if query.context.user == user and query.app.name == app:
                query.context = query.context._replace(user="")
        name = user.encode(errors="surrogatepass")
        for each in [each for each in self._kept.values() if name in each.record]:
            decision = open_decision(each)
            if (decision.app, decision.user) == (app, user):
                self._kept[each.query_id] = keep_decision(replace(decision, user=""))

    def find(self, query_id: int) -> DecisionRecord | None:
        """The decision about a query, with what has come by now; None if it is not among the last."""
        made = self._open.get(query_id)
        if made is not None:
            return as_record(*made)
        kept = self._kept.get(query_id)
        return None if kept is None else open_decision(kept)

    def find_complete(self, query_id: int, then: Callable[[DecisionRecord], None]) -> bool:
        """Has ``then`` called, at the latest at the query's deadline, with what its models say; False if unknown."""
        made = self._open.get(query_id)
        if made is not None:
            when_complete(made[0], lambda: then(as_record(*made)))
            return True
        kept = self._kept.get(query_id)
        if kept is not None:
            then(open_decision(kept))
        return kept is not None

    def take(self, everything: bool = False) -> tuple[list[tuple[Made, float]], bool]:
        """Those that ``records_of`` makes records of, for the journal and ``keep``; whether there are more."""
        taken: list[tuple[Made, float]] = []
        left: list[tuple[Made, float]] = []
        for made in self._ripe:
            (taken if everything or is_complete(made[0]) else left).append(made)
        self._ripe, self._new = left + self._new, []
        return taken, bool(self._ripe)


def records_of(decisions: Sequence[tuple[Made, float]]) -> list[KeptDecision]:
    """In the order of their ids, as the journal wants them."""
    ordered = sorted(decisions, key=_id_of)
    return [KeptDecision(query.id, at, _encode(_fields_of(query, at))) for query, at in ordered]


def as_record(query: Made, at: float) -> DecisionRecord:
    """With all outputs that have come by now."""
    return DecisionRecord(*_fields_of(query, at))


def _id_of(made: tuple[Made, float]) -> int:
    return made[0].id


def _fields_of(query: Made, at: float) -> tuple[Any, ...]:
    """Those of a ``DecisionRecord``, which is encoded as they are: to make one of each would take longer."""
    app, (data, _, user, draw) = query.app, query.context
    answer = query.answered_with
    outputs = {f"{name}:{version}": kept_output(text) for (name, version), text in query.said().items()}
    return (
        query.id,
        app.name,
        user,
        at,
        app.epoch,
        app.linked,
        tuple(query.asked),
        query.shadows,
        outputs,
        None if answer is None else kept_output(answer),
        query.confidence,
        draw,
        data if app.keeps_input else b"",
    )


def kept_output(text: bytes) -> bytes:
    """An output as it is kept: what is too long becomes nothing, and its loss can't be told."""
    return text if len(text) <= LONGEST_OUTPUT else b""
