"""The embedded store: one SQLite file, shared by the processes of a cluster.

Names are keys and records are JSON, so a record may gain fields without a change of the schema.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from clipper.errors import StoreConflict
from clipper.store.base import LEASE_SECONDS
from clipper.store.sqlite_file import Schema, SqliteFile
from clipper.types import Application, Model, ModelVersion, Registry, Replica

_SHADOWS: Final = "CREATE TABLE shadows (key TEXT PRIMARY KEY, record TEXT NOT NULL)"
_ADDRESSES: Final = "ALTER TABLE frontends ADD COLUMN metrics_address TEXT NOT NULL DEFAULT ''"
SCHEMA: Final = Schema(
    application_id=int.from_bytes(b"Clpr"),
    version=3,
    statements=(
        "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
        "INSERT INTO counters VALUES ('revision', 0), ('query_id', 0)",
        "CREATE TABLE applications (key TEXT PRIMARY KEY, record TEXT NOT NULL)",
        "CREATE TABLE models (key TEXT PRIMARY KEY, record TEXT NOT NULL)",
        "CREATE TABLE current_versions (key TEXT PRIMARY KEY, record TEXT NOT NULL)",
        "CREATE TABLE links (key TEXT PRIMARY KEY, record TEXT NOT NULL)",
        _SHADOWS,
        "CREATE TABLE frontends (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, reported_at REAL NOT NULL)",
        "CREATE TABLE replicas (frontend TEXT NOT NULL, record TEXT NOT NULL)",
        _ADDRESSES,
    ),
    upgrades={1: (_SHADOWS,), 2: (_ADDRESSES,)},
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
    _Table("shadows", tuple[str, ...]),
)


class SqliteStore:
    """``clipper.store.base.Store`` on the file ``path``, which is made if it is not there.

    ``lock_timeout`` bounds, in seconds, every wait for another process that is writing; ``clock`` tells the seconds
    since the epoch, the same for all processes, by which reports grow old.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, lock_timeout: float = 5.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = SqliteFile(path, lock_timeout, SCHEMA)
        self._clock = clock
        self._data_version = -1
        self._stored_revision = 0
        self._read_revision = -1

    def read(self) -> Registry:
        with self._file.transaction("DEFERRED"):
            revision = self._revision()
            fields = {table.name: self._load(table) for table in _TABLES}
        self._read_revision = self._stored_revision = revision
        return Registry(revision=revision, **fields)

    def commit(self, before: Registry, after: Registry) -> None:
        with self._file.transaction("IMMEDIATE"):
            revision = self._revision()
            if revision != before.revision:
                raise StoreConflict(
                    f"revision {before.revision} of the registry is {revision} by now: read it, try again"
                )
            for table in _TABLES:
                self._save(table, getattr(before, table.name), getattr(after, table.name))
            self._file.execute("UPDATE counters SET value = value + 1 WHERE name = 'revision'")
        self._stored_revision = revision + 1

    def changed(self) -> bool:
        with self._file.explained():
            # SQLite tells for the price of a look into shared memory whether another connection wrote at all; only
            # then is it worth asking whether it was the registry.
            data_version = self._file.scalar("PRAGMA data_version")
            if data_version != self._data_version:
                self._stored_revision = self._revision()
                self._data_version = data_version
        return self._stored_revision != self._read_revision

    def reserve_query_ids(self, count: int) -> int:
        if count < 1:
            raise ValueError(f"can't reserve {count} query ids: ask for at least one")
        with self._file.transaction("IMMEDIATE"):
            first = self._file.scalar("SELECT value FROM counters WHERE name = 'query_id'")
            self._file.execute("UPDATE counters SET value = value + ? WHERE name = 'query_id'", (count,))
        return first

    def report(self, frontend: str, revision: int, replicas: Sequence[Replica], metrics_address: str = "") -> None:
        rows = [(frontend, _encode(replica)) for replica in replicas]
        with self._file.transaction("IMMEDIATE"):
            self._file.execute("DELETE FROM replicas WHERE frontend = ?", (frontend,))
            self._file.execute(
                "INSERT OR REPLACE INTO frontends VALUES (?, ?, ?, ?)",
                (frontend, revision, self._clock(), metrics_address),
            )
            self._file.executemany("INSERT INTO replicas VALUES (?, ?)", rows)

    def frontends(self) -> dict[str, int]:
        with self._file.explained():
            return {name: revision for name, revision in self._holding("frontends.name, frontends.revision")}

    def metrics_addresses(self) -> dict[str, str]:
        with self._file.explained():
            rows = self._holding("frontends.name, frontends.metrics_address")
        return {name: address for name, address in rows if address}

    def replicas(self) -> list[Replica]:
        joined = "replicas.record", "JOIN replicas ON replicas.frontend = frontends.name"
        with self._file.explained():
            found = [msgspec.json.decode(record, type=Replica) for (record,) in self._holding(*joined)]
        return sorted(found, key=lambda each: (each.model_name, each.model_version, each.replica_id, each.frontend))

    def _holding(self, columns: str, joined: str = "") -> list[tuple[Any, ...]]:
        """Rows of the frontends whose report holds; a clock that was set back makes none older."""
        return self._file.execute(
            f"SELECT {columns} FROM frontends {joined} WHERE reported_at > ? ORDER BY frontends.name",
            (self._clock() - LEASE_SECONDS,),
        ).fetchall()

    def close(self) -> None:
        self._file.close()

    def _load(self, table: _Table) -> dict[Any, Any]:
        rows = self._file.execute(f"SELECT key, record FROM {table.name} ORDER BY rowid")
        return {table.parse_key(key): msgspec.json.decode(record, type=table.record_type) for key, record in rows}

    def _save(self, table: _Table, before: Mapping[Any, object], after: Mapping[Any, object]) -> None:
        gone = [(str(key),) for key in before.keys() - after.keys()]
        new = [(str(key), _encode(record)) for key, record in after.items() if before.get(key) != record]
        self._file.executemany(f"DELETE FROM {table.name} WHERE key = ?", gone)
        self._file.executemany(
            f"INSERT INTO {table.name} VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET record = excluded.record", new
        )

    def _revision(self) -> int:
        return self._file.scalar("SELECT value FROM counters WHERE name = 'revision'")


def _encode(record: object) -> str:
    return msgspec.json.encode(record).decode()
