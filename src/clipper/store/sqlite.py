"""The embedded store: one SQLite file, shared by the processes of a cluster.

The file is in WAL mode with ``synchronous=FULL``, so that what was committed survives the death of any process and a
power cut. Names are keys and records are JSON, so a record may gain fields without a change of the schema.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from clipper.errors import StoreConflict, StoreError
from clipper.store.base import LEASE_SECONDS
from clipper.types import Application, Model, ModelVersion, Registry, Replica

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = int.from_bytes(b"Clpr")  # tells our files from other programs'

_SCHEMA: Final = (
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "INSERT INTO counters VALUES ('revision', 0), ('query_id', 0)",
    "CREATE TABLE applications (key TEXT PRIMARY KEY, record TEXT NOT NULL)",
    "CREATE TABLE models (key TEXT PRIMARY KEY, record TEXT NOT NULL)",
    "CREATE TABLE current_versions (key TEXT PRIMARY KEY, record TEXT NOT NULL)",
    "CREATE TABLE links (key TEXT PRIMARY KEY, record TEXT NOT NULL)",
    "CREATE TABLE frontends (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, reported_at REAL NOT NULL)",
    "CREATE TABLE replicas (frontend TEXT NOT NULL, record TEXT NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


def _parse_model_key(key: str) -> ModelVersion:
    name, _, version = key.rpartition(":")  # no version holds a colon
    return ModelVersion(name, version)


@dataclass(frozen=True, slots=True)
class _Table:
    """One mapping of the registry: a table, and the field of Registry, of that name."""

    name: str
    record_type: Any
    parse_key: Callable[[str], Any] = str


_TABLES: Final = (
    _Table("applications", Application),
    _Table("models", Model, _parse_model_key),
    _Table("current_versions", str),
    _Table("links", tuple[str, ...]),
)


class SqliteStore:
    """``clipper.store.base.Store`` on the file ``path``, which is made if it is not there.

    ``lock_timeout`` bounds, in seconds, every wait for another process that is writing; ``clock`` tells the seconds
    since the epoch, the same for all processes, by which reports grow old.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, lock_timeout: float = 5.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = Path(path)
        self._lock_timeout = lock_timeout
        self._clock = clock
        self._data_version = -1
        self._stored_revision = 0
        self._read_revision = -1
        with self._explained():
            self._connection = sqlite3.connect(
                self._path, timeout=lock_timeout, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def read(self) -> Registry:
        with self._transaction("DEFERRED"):
            revision = self._revision()
            fields = {table.name: self._load(table) for table in _TABLES}
        self._read_revision = self._stored_revision = revision
        return Registry(revision=revision, **fields)

    def commit(self, before: Registry, after: Registry) -> None:
        with self._transaction("IMMEDIATE"):
            revision = self._revision()
            if revision != before.revision:
                raise StoreConflict(
                    f"revision {before.revision} of the registry is {revision} by now: read it, try again"
                )
            for table in _TABLES:
                self._save(table, getattr(before, table.name), getattr(after, table.name))
            self._connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'revision'")
        self._stored_revision = revision + 1

    def changed(self) -> bool:
        with self._explained():
            # SQLite tells for the price of a look into shared memory whether another connection wrote at all; only
            # then is it worth asking whether it was the registry.
            data_version = self._scalar("PRAGMA data_version")
            if data_version != self._data_version:
                self._stored_revision = self._revision()
                self._data_version = data_version
        return self._stored_revision != self._read_revision

    def reserve_query_ids(self, count: int) -> int:
        if count < 1:
            raise ValueError(f"can't reserve {count} query ids: ask for at least one")
        with self._transaction("IMMEDIATE"):
            first = self._scalar("SELECT value FROM counters WHERE name = 'query_id'")
            self._connection.execute("UPDATE counters SET value = value + ? WHERE name = 'query_id'", (count,))
        return first

    def report(self, frontend: str, revision: int, replicas: Sequence[Replica]) -> None:
        rows = [(frontend, _encode(replica)) for replica in replicas]
        with self._transaction("IMMEDIATE"):
            self._connection.execute("DELETE FROM replicas WHERE frontend = ?", (frontend,))
            self._connection.execute(
                "INSERT OR REPLACE INTO frontends VALUES (?, ?, ?)", (frontend, revision, self._clock())
            )
            self._connection.executemany("INSERT INTO replicas VALUES (?, ?)", rows)

    def frontends(self) -> dict[str, int]:
        with self._explained():
            return {name: revision for name, revision in self._holding("frontends.name, frontends.revision")}

    def replicas(self) -> list[Replica]:
        joined = "replicas.record", "JOIN replicas ON replicas.frontend = frontends.name"
        with self._explained():
            found = [msgspec.json.decode(record, type=Replica) for (record,) in self._holding(*joined)]
        return sorted(found, key=lambda each: (each.model_name, each.model_version, each.replica_id, each.frontend))

    def _holding(self, columns: str, joined: str = "") -> list[tuple[Any, ...]]:
        """Rows of the frontends whose report holds; a clock that was set back makes none older."""
        return self._connection.execute(
            f"SELECT {columns} FROM frontends {joined} WHERE reported_at > ? ORDER BY frontends.name",
            (self._clock() - LEASE_SECONDS,),
        ).fetchall()

    def close(self) -> None:
        with self._explained():
            self._connection.close()

    def _prepare(self) -> None:
        with self._transaction("DEFERRED"):
            created = self._is_created()  # looks before it touches: the file may be somebody else's
        self._enter_wal_mode()
        self._connection.execute("PRAGMA synchronous = FULL")
        if created:
            return
        with self._transaction("IMMEDIATE"):
            if not self._is_created():  # another process may have been faster
                for statement in _SCHEMA:
                    self._connection.execute(statement)

    def _enter_wal_mode(self) -> None:
        """Tries again for as long as the lock timeout: here SQLite does not wait for processes that do the same."""
        deadline = time.monotonic() + self._lock_timeout
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(0.005)

    def _is_created(self) -> bool:
        if self._scalar("PRAGMA application_id") != APPLICATION_ID:
            if self._scalar("SELECT count(*) FROM sqlite_master"):
                raise StoreError(f"{self._path} is a database of another program: give another file as the store")
            return False
        version = self._scalar("PRAGMA user_version")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"the store {self._path} was written by a newer Clipper (its schema is {version}, this Clipper "
                f"knows {SCHEMA_VERSION}): upgrade Clipper, or give another file"
            )
        return True

    def _load(self, table: _Table) -> dict[Any, Any]:
        rows = self._connection.execute(f"SELECT key, record FROM {table.name} ORDER BY rowid")
        return {table.parse_key(key): msgspec.json.decode(record, type=table.record_type) for key, record in rows}

    def _save(self, table: _Table, before: Mapping[Any, object], after: Mapping[Any, object]) -> None:
        gone = [(str(key),) for key in before.keys() - after.keys()]
        new = [(str(key), _encode(record)) for key, record in after.items() if before.get(key) != record]
        self._connection.executemany(f"DELETE FROM {table.name} WHERE key = ?", gone)
        self._connection.executemany(
            f"INSERT INTO {table.name} VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET record = excluded.record", new
        )

    def _revision(self) -> int:
        return self._scalar("SELECT value FROM counters WHERE name = 'revision'")

    def _scalar(self, query: str) -> int:
        ((value,),) = self._connection.execute(query).fetchall()
        return int(value)

    @contextlib.contextmanager
    def _transaction(self, kind: Literal["DEFERRED", "IMMEDIATE"]) -> Iterator[None]:
        with self._explained():
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns SQLite's errors, and records that can't be read, into StoreErrors that name the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{_explain(error, self._path, self._lock_timeout)} ({error})") from error
        except msgspec.MsgspecError as error:
            raise StoreError(f"the store {self._path} holds a record that can't be read: {error}") from error


def _encode(record: object) -> str:
    return msgspec.json.encode(record).decode()


def _explain(error: sqlite3.Error, path: Path, lock_timeout: float) -> str:
    """What happened, and the way out."""
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_FULL"):
        return f"the disk of the store {path} is full and nothing was changed: free some space and try again"
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"another process kept the store {path} locked for {lock_timeout:g} s: find it with fuser, try again"
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return f"{path} is not a store or is damaged: put back a backup, or move it away to begin with an empty one"
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return _explain_access(path)
    if code.startswith("SQLITE_IOERR"):
        return f"the disk of the store {path} failed: see the system's log (dmesg)"
    return f"the store {path} failed"


def _explain_access(path: Path) -> str:
    if os.path.isdir(path):
        return f"the store {path} is a directory: give a file"
    try:
        os.stat(path.parent)
    except (FileNotFoundError, NotADirectoryError):
        return f"the directory of the store {path} is missing: make it, or give another file"
    except PermissionError:
        pass
    return f"permission denied: user {os.geteuid()} must be able to read and write the store {path} and its directory"
