"""A SQLite file that the processes of a cluster share: opened, upgraded, locked for a while, its errors explained.

The file is in WAL mode with ``synchronous=FULL``, so that what was committed survives the death of any process and a
power cut.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from clipper.errors import StoreError


@dataclass(frozen=True, slots=True)
class Schema:
    """``application_id`` tells our files from other programs'; ``upgrades`` make a schema the next one, by number."""

    application_id: int
    version: int
    statements: Sequence[str]
    upgrades: Mapping[int, Sequence[str]] = field(default_factory=dict)


class SqliteFile:
    """One connection to the file ``path``, which is made if it is not there.

    ``lock_timeout`` bounds, in seconds, every wait for another process that is writing.
    """

    def __init__(self, path: str | os.PathLike[str], lock_timeout: float, schema: Schema) -> None:
        self._path = Path(path)
        self._lock_timeout = lock_timeout
        self._schema = schema
        with self.explained():
            self._connection = sqlite3.connect(
                self._path, timeout=lock_timeout, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def execute(self, query: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        return self._connection.execute(query, values)

    def executemany(self, query: str, rows: Sequence[Sequence[object]]) -> None:
        self._connection.executemany(query, rows)

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, values).fetchall()

    def scalar(self, query: str, values: Sequence[object] = ()) -> int:
        ((value,),) = self._connection.execute(query, values).fetchall()
        return int(value)

    def empty_log(self) -> None:
        """What was overwritten is not in the write-ahead log either, once nobody reads what it was."""
        with self.explained():
            self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        with self.explained():
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self, kind: Literal["DEFERRED", "IMMEDIATE"]) -> Iterator[None]:
        """All that is executed within it happens, or nothing. Raises StoreError."""
        with self.explained():
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turns SQLite's errors, and records that can't be read, into StoreErrors that name the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{_explain(error, self._path, self._lock_timeout)} ({error})") from error
        except msgspec.MsgspecError as error:
            raise StoreError(
                f"the store {self._path} holds a record that can't be read: put back a backup ({error})"
            ) from error

    def _prepare(self) -> None:
        with self.transaction("DEFERRED"):
            created = self._is_created()  # looks before it touches: the file may be somebody else's
        self._enter_wal_mode()
        self._connection.execute("PRAGMA synchronous = FULL")
        if created and self.scalar("PRAGMA user_version") == self._schema.version:
            return
        with self.transaction("IMMEDIATE"):
            for statement in self._missing_statements():
                self._connection.execute(statement)

    def _missing_statements(self) -> Iterator[str]:
        """None, if another process was faster."""
        schema = self._schema
        if not self._is_created():
            yield from schema.statements
            yield f"PRAGMA application_id = {schema.application_id}"
        else:
            for version in range(self.scalar("PRAGMA user_version"), schema.version):
                yield from schema.upgrades[version]
        yield f"PRAGMA user_version = {schema.version}"

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
        if self.scalar("PRAGMA application_id") != self._schema.application_id:
            if self.scalar("SELECT count(*) FROM sqlite_master"):
                raise StoreError(f"{self._path} is a database of another program: give another file as the store")
            return False
        version = self.scalar("PRAGMA user_version")
        if version > self._schema.version:
            raise StoreError(
                f"the store {self._path} was written by a newer Clipper (its schema is {version}, this Clipper "
                f"knows {self._schema.version}): upgrade Clipper, or give another file"
            )
        return True


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
    return f"the store {path} failed: see that its file and disk are sound, and try again"


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
