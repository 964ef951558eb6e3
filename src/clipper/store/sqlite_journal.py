"""The journal of an embedded cluster: one SQLite file, beside the registry's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from clipper.store.decisions import BUCKET, NO_DECISIONS, bucket_of, buckets, find, pack, unname, unpack
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
from clipper.store.sqlite_file import Schema, SqliteFile

SCHEMA: Final = Schema(
    application_id=int.from_bytes(b"ClpJ"),
    version=1,
    statements=(
        # Without AUTOINCREMENT a position would be given again, once the last of the feedback is deleted.
        "CREATE TABLE feedback (position INTEGER PRIMARY KEY AUTOINCREMENT, query_id INTEGER UNIQUE, "
        "app TEXT NOT NULL, user TEXT NOT NULL, record BLOB NOT NULL)",
        "CREATE INDEX feedback_of_app ON feedback (app)",
        "CREATE TABLE decisions (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, size INTEGER NOT NULL, "
        "at REAL NOT NULL, records BLOB NOT NULL)",
        "CREATE TABLE states (app TEXT NOT NULL, user TEXT NOT NULL, epoch INTEGER NOT NULL, "
        "position INTEGER NOT NULL, state BLOB NOT NULL, PRIMARY KEY (app, user)) WITHOUT ROWID",
        "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
        "INSERT INTO counters VALUES ('checkpoint', 0)",
    ),
)
TIDY_EVERY: Final = 100
"""Writes after which what is too old or too much is deleted."""

_encode: Final = msgspec.msgpack.encode
_NOTHING: Final = _encode(None)


class SqliteJournal:
    """``clipper.store.journal.Journal`` on the file ``path``, which is made if it is not there.

    ``lock_timeout`` bounds, in seconds, every wait for another process that is writing; ``clock`` tells the seconds
    since the epoch.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, lock_timeout: float = 5.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = SqliteFile(path, lock_timeout, SCHEMA)
        with self._file.explained():
            self._file.execute("PRAGMA secure_delete = ON")  # who is forgotten is overwritten in the file
        self._clock = clock
        self._data_version = -1
        self._writes = 0
        self._recalled = NO_DECISIONS

    # -- feedback

    def append(self, feedback: Sequence[Feedback]) -> list[bool]:
        with self._file.transaction("IMMEDIATE"):
            return [self._insert(each) for each in feedback]

    def _insert(self, feedback: Feedback) -> bool:
        decision = feedback.decision
        values = (decision.query_id, decision.app, decision.user, keep_feedback(feedback))
        query = "INSERT OR IGNORE INTO feedback (query_id, app, user, record) VALUES (?, ?, ?, ?)"
        return self._file.execute(query, values).rowcount == 1

    def read(self, after: int, limit: int) -> list[Entry]:
        query = "SELECT position, user, record FROM feedback WHERE position > ? ORDER BY position LIMIT ?"
        with self._file.explained():
            return [open_entry(*row) for row in self._file.rows(query, (after, limit))]

    def export(self, app: str, after: int, limit: int) -> list[Entry]:
        query = (
            "SELECT position, user, record FROM feedback WHERE app = ? AND position > ? AND query_id IS NOT NULL "
            "ORDER BY position LIMIT ?"
        )
        with self._file.explained():
            return [open_entry(*row) for row in self._file.rows(query, (app, after, limit))]

    def changed(self) -> bool:
        with self._file.explained():
            before, self._data_version = self._data_version, self._file.scalar("PRAGMA data_version")
        return before != self._data_version

    def lost(self) -> bool:
        return False  # it can't be put back under servers that have its file open

    def accept_loss(self) -> None: ...

    # -- decisions

    def remember(self, decisions: Sequence[KeptDecision]) -> None:
        groups = [group for _, group in buckets(decisions)]
        rows = [(group[0].query_id, group[-1].query_id, len(group), group[-1].at, pack(group)) for group in groups]
        with self._file.transaction("IMMEDIATE"):
            self._file.executemany("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?)", rows)
            if self._is_time_to_tidy():
                self._drop_old_decisions()

    def recall(self, query_id: int) -> DecisionRecord | None:
        oldest = self._clock() - DECISION_SECONDS
        found = find(self._recalled, query_id)  # feedback for one of a batch is followed by that for others
        if found is None:
            found = self._recall_of_decisions(query_id, oldest)
        return found if found is not None and found.at > oldest else self._recall_of_feedback(query_id)

    def _recall_of_decisions(self, query_id: int, oldest: float) -> DecisionRecord | None:
        # Answers do not come in the order of the ids: what was kept at one time overlaps with what was at others.
        query = (
            "SELECT records FROM decisions WHERE first BETWEEN ? AND ? AND last >= ? AND at > ? ORDER BY first DESC"
        )
        values = (bucket_of(query_id) * BUCKET, query_id, query_id, oldest)
        with self._file.explained():
            for (records,) in self._file.rows(query, values):
                self._recalled = unpack(records)
                found = find(self._recalled, query_id)
                if found is not None:
                    return found
        return None

    def _recall_of_feedback(self, query_id: int) -> DecisionRecord | None:
        """A frontend that was killed has not kept its last decisions; those that had feedback are known by it."""
        query = "SELECT position, user, record FROM feedback WHERE query_id = ?"
        with self._file.explained():
            for row in self._file.rows(query, (query_id,)):
                return open_entry(*row).feedback.decision
        return None

    def _drop_old_decisions(self) -> None:
        self._file.execute("DELETE FROM decisions WHERE at <= ?", (self._clock() - DECISION_SECONDS,))
        surplus = self._file.scalar("SELECT total(size) FROM decisions") - DECISIONS_KEPT
        for first, size in self._file.rows("SELECT first, size FROM decisions ORDER BY at") if surplus > 0 else ():
            if surplus <= 0:
                break
            self._file.execute("DELETE FROM decisions WHERE first = ?", (first,))
            surplus -= size

    # -- states

    def load(self, keys: Iterable[StateKey]) -> dict[StateKey, StoredState]:
        query = "SELECT epoch, position, state FROM states WHERE app = ? AND user = ?"
        found: dict[StateKey, StoredState] = {}
        with self._file.explained():
            for key in keys:
                for epoch, position, state in self._file.rows(query, key):
                    found[key] = StoredState(epoch, position, msgspec.msgpack.decode(state))
        return found

    def save(self, states: Mapping[StateKey, StoredState], checkpoint: int) -> None:
        rows = [(*key, each.epoch, each.position, _encode(each.state)) for key, each in states.items()]
        with self._file.transaction("IMMEDIATE"):
            forgotten = self._drop_forgotten()
            self._file.executemany(
                "INSERT INTO states VALUES (?, ?, ?, ?, ?) ON CONFLICT (app, user) DO UPDATE "
                "SET epoch = excluded.epoch, position = excluded.position, state = excluded.state "
                "WHERE (excluded.epoch, excluded.position) > (epoch, position)",
                rows,
            )
            self._file.execute("UPDATE counters SET value = max(value, ?) WHERE name = 'checkpoint'", (checkpoint,))
            if self._is_time_to_tidy():
                self._drop_old_feedback()
        if forgotten:
            self._file.empty_log()

    def checkpoint(self) -> int:
        with self._file.explained():
            return self._file.scalar("SELECT value FROM counters WHERE name = 'checkpoint'")

    def _drop_old_feedback(self) -> None:
        self._file.execute(
            "DELETE FROM feedback WHERE position <= (SELECT min(value, (SELECT max(position) FROM feedback) - ?) "
            "FROM counters WHERE name = 'checkpoint')",
            (FEEDBACK_KEPT,),
        )

    def _drop_forgotten(self) -> bool:
        """The last that names users who were forgotten: at the last save every frontend had heard of it."""
        kept = self._file.scalar("SELECT value FROM counters WHERE name = 'checkpoint'")
        orders = "DELETE FROM feedback WHERE query_id IS NULL AND position <= ?"
        if not self._file.execute(orders, (kept,)).rowcount:
            return False
        self._file.execute("DELETE FROM states WHERE state = ? AND position <= ?", (_NOTHING, kept))
        return True

    # -- the end of things

    def forget_user(self, app: str, user: str) -> None:
        with self._file.transaction("IMMEDIATE"):
            self._file.execute("UPDATE feedback SET user = '' WHERE app = ? AND user = ?", (app, user))
            self._file.execute("DELETE FROM states WHERE app = ? AND user = ?", (app, user))
            self._order(user, order_to_forget(app, self._clock()))
        self.forget_decisions(app, user)

    def forget_decisions(self, app: str, user: str) -> None:
        with self._file.transaction("IMMEDIATE"):
            query = "SELECT first, records FROM decisions WHERE instr(records, ?) > 0"
            for first, records in self._file.rows(query, (user.encode(errors="surrogatepass"),)):
                kept = unname(records, app, user)
                self._file.execute("UPDATE decisions SET records = ? WHERE first = ?", (kept, first))
        self._recalled = NO_DECISIONS
        self._file.empty_log()

    def forget_models(self, app: str, models: Sequence[str]) -> None:
        with self._file.transaction("IMMEDIATE"):
            self._order("", order_to_forget(app, self._clock(), models))

    def _order(self, user: str, order: Feedback) -> None:
        values = (order.decision.app, user, _encode(order))
        self._file.execute("INSERT INTO feedback (app, user, record) VALUES (?, ?, ?)", values)

    def forget_app(self, app: str) -> None:
        with self._file.transaction("IMMEDIATE"):
            self._file.execute("DELETE FROM feedback WHERE app = ?", (app,))
            self._file.execute("DELETE FROM states WHERE app = ?", (app,))

    def close(self) -> None:
        self._file.close()

    def _is_time_to_tidy(self) -> bool:
        self._writes += 1
        return self._writes % TIDY_EVERY == 0
