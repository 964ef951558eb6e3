"""The journal of a cluster on a Redis. ``clipper.store.redis_scripts`` has its keys, and what is done with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from clipper.store import redis_scripts as scripts
from clipper.store.decisions import NO_DECISIONS, bucket_of, buckets, find, pack, unname, unpack
from clipper.store.journal import (
    DECISION_SECONDS,
    DECISIONS_KEPT,
    FEEDBACK_KEPT,
    DecisionRecord,
    Entry,
    Feedback,
    KeptDecision,
    StateKey,
    StoredState,
    keep_feedback,
    open_entry,
    order_to_forget,
)
from clipper.store.redis_address import RedisAddress
from clipper.store.redis_server import TIMEOUT_SECONDS, Argument, RedisServer, Script

STEP: Final = 1000
"""What is gone through in one step on the server, which does nothing else meanwhile."""
MOST_STEPS: Final = 20
"""So much old feedback goes with one save."""

_encode: Final = msgspec.msgpack.encode


class RedisJournal:
    """``clipper.store.journal.Journal`` on a Redis.

    ``timeout`` bounds, in seconds, every wait for it; ``clock`` tells the seconds since the epoch.
    """

    def __init__(
        self, address: RedisAddress, *, timeout: float = TIMEOUT_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        self._server = RedisServer(address, timeout)
        self._clock = clock
        self._seen = (0, 0)  # the connection, and the last position that was known over it
        self._highest = 0
        self._last_read: Entry | None = None
        self._compared = 0  # the last connection over which that was found where it should be
        self._recalled = NO_DECISIONS

    # -- feedback

    def append(self, feedback: Sequence[Feedback]) -> list[bool]:
        values: list[Argument] = []
        for each in feedback:
            decision = each.decision
            values += decision.query_id, decision.app, _bytes(decision.user), keep_feedback(each)
        before, last, new = self._server.run(scripts.APPEND, self._highest, *values)
        self._highest = int(last)
        if self._seen == (self._server.connections, int(before)):  # nobody else has written in between
            self._seen = (self._server.connections, int(last))
        return [each == 1 for each in new]

    def read(self, after: int, limit: int) -> list[Entry]:
        entries = self._entries(scripts.READ, after, limit)
        if entries:
            self._last_read = entries[-1]
        return entries

    def export(self, app: str, after: int, limit: int) -> list[Entry]:
        return self._entries(scripts.EXPORT, app, after, limit)

    def _entries(self, script: Script, *values: Argument) -> list[Entry]:
        with self._server.explained():
            entries = list(_entries(self._server.run(script, *values)))
        # A position that was read is not given again, even if Redis has lost its last second in a power cut.
        self._highest = max(self._highest, entries[-1].position if entries else 0)
        return entries

    def changed(self) -> bool:
        last = int(self._server.ask("HGET", "journal", "position") or 0)
        before, self._seen = self._seen, (self._server.connections, last)
        if self._last_read is not None and last < self._last_read.position:
            self._compared = 0
        return before != self._seen

    def lost(self) -> bool:
        last = self._last_read
        if last is None or self._compared == self._server.connections:
            return False
        found = self._entries(scripts.READ, last.position - 1, 1)
        if found and _is_same(found[0], last):
            self._compared = self._server.connections
            return False
        return True

    def accept_loss(self) -> None:
        self._last_read = None

    # -- decisions

    def remember(self, decisions: Sequence[KeptDecision]) -> None:
        bounds = self._clock() - DECISION_SECONDS, DECISIONS_KEPT, round(DECISION_SECONDS * 1000)
        for bucket, kept in buckets(decisions):
            extent = b"%d %d" % (kept[0].query_id, kept[-1].query_id)
            self._server.run(scripts.REMEMBER, bucket, len(kept), kept[-1].at, extent, pack(kept), *bounds)

    def recall(self, query_id: int) -> DecisionRecord | None:
        oldest = self._clock() - DECISION_SECONDS
        found = find(self._recalled, query_id)  # feedback for one of a batch is followed by that for others
        if found is not None and found.at > oldest:
            return found
        with self._server.explained():
            pieces, feedback = self._server.run(scripts.RECALL, query_id, bucket_of(query_id))
            found = self._recall_of(pieces, query_id)
            given = [each.feedback.decision for each in _entries(feedback)]
        if found is not None and found.at > oldest:
            return found
        return given[0] if given else None

    def _recall_of(self, pieces: Sequence[bytes], query_id: int) -> DecisionRecord | None:
        for piece in pieces:
            self._recalled = unpack(piece)
            found = find(self._recalled, query_id)
            if found is not None:
                return found
        return None

    # -- states

    def load(self, keys: Iterable[StateKey]) -> dict[StateKey, StoredState]:
        found: dict[StateKey, StoredState] = {}
        for some in _batches(keys):
            values = [value for key in some for value in (key.app, _bytes(key.user))]
            with self._server.explained():
                stored = zip(some, self._server.run(scripts.LOAD, *values), strict=True)
                found |= {key: _state(record) for key, record in stored if record is not None}
        return found

    def save(self, states: Mapping[StateKey, StoredState], checkpoint: int) -> None:
        batches = list(_batches(states.items())) or [[]]
        for number, some in enumerate(batches, 1):
            values: list[Argument] = []
            for key, each in some:
                values += key.app, _bytes(key.user), each.epoch, each.position, _encode(each.state)
                values.append(int(each.state is None))
            # All of them are kept before the checkpoint says so.
            self._server.run(scripts.SAVE, checkpoint if number == len(batches) else 0, *values)
        for _ in range(MOST_STEPS):
            if self._server.run(scripts.DROP_OLD, FEEDBACK_KEPT, STEP) < STEP:
                break

    def checkpoint(self) -> int:
        return int(self._server.ask("HGET", "journal", "checkpoint") or 0)

    # -- the end of things

    def forget_user(self, app: str, user: str) -> None:
        # The order first: it says which feedback is the forgotten user's, and which is of the same name's new life.
        position = self._order(user, order_to_forget(app, self._clock()))
        cursor = b"0"
        while True:
            cursor = self._server.run(scripts.UNNAME, cursor, app, _bytes(user), position)
            if cursor == b"0":
                break
        self.forget_decisions(app, user)

    def forget_decisions(self, app: str, user: str) -> None:
        self._recalled = NO_DECISIONS
        for bucket in self._server.ask("ZRANGE", "kept", 0, -1):
            found = self._server.run(scripts.NAMING, bucket, _bytes(user))
            for extent, piece in zip(found[::2], found[1::2], strict=True):
                with self._server.explained():
                    kept = unname(piece, app, user)
                self._server.run(scripts.REPLACE, bucket, extent, piece, kept)

    def forget_models(self, app: str, models: Sequence[str]) -> None:
        self._order("", order_to_forget(app, self._clock(), models))

    def _order(self, user: str, order: Feedback) -> int:
        values = order.decision.app, _bytes(user), _encode(order)
        self._highest = int(self._server.run(scripts.ORDER, self._highest, *values))
        return self._highest

    def forget_app(self, app: str) -> None:
        last = int(self._server.ask("HGET", "journal", "position") or 0)
        while self._server.run(scripts.DROP_APP, app, last, STEP):
            pass

    def close(self) -> None:
        self._server.close()


def _is_same(one: Entry, other: Entry) -> bool:
    """All the same if a user was forgotten meanwhile."""
    identities = [(each.position, each.feedback.at, each.feedback.decision.query_id) for each in (one, other)]
    return identities[0] == identities[1]


def _state(record: bytes) -> StoredState:
    epoch, position, state = record.split(b" ", 2)
    return StoredState(int(epoch), int(position), msgspec.msgpack.decode(state))


def _entries(flat: Sequence[bytes]) -> Iterator[Entry]:
    for position, user, record in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
        yield open_entry(int(position), user.decode(errors="surrogatepass"), record)


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while some := list(islice(rest, STEP)):
        yield some


def _bytes(user: str) -> bytes:
    return user.encode(errors="surrogatepass")
