"""What is particular to the SQLite file: its errors, its durability, its schema."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
from msgspec.structs import replace

from clipper.errors import StoreError
from clipper.store.sqlite import SCHEMA, SqliteStore
from clipper.store.sqlite_journal import SqliteJournal
from clipper.types import Application, Model, Registry


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


def filled(revision, size):
    app = Application(name="a", input_type="doubles", default_output="x" * size, latency_slo_micros=1)
    return Registry(revision=revision, applications={"a": app})


@contextmanager
def unprivileged():
    """As a user whom permissions concern, should the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_the_file_is_safe_against_a_power_cut(path):
    with closing(SqliteStore(path)) as store:
        assert store._file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._file.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_full_disk_is_told_and_survived(path, monkeypatch):
    connections = []
    connect = sqlite3.connect

    def connect_to_small_disk(*args, **kwargs):
        connections.append(connect(*args, **kwargs))
        connections[-1].execute("PRAGMA max_page_count = 20")
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", connect_to_small_disk)
    with closing(SqliteStore(path)) as store:
        store.commit(Registry(), filled(0, 10))
        with pytest.raises(StoreError, match="is full and nothing was changed: free some space") as caught:
            store.commit(filled(1, 10), filled(1, 200_000))
        assert str(path) in caught.value.cause
        assert store.read() == filled(1, 10)

        connections[0].execute("PRAGMA max_page_count = 1000")
        store.commit(filled(1, 10), filled(1, 200_000))
        assert store.read() == filled(2, 200_000)


def test_a_missing_directory_is_named(path):
    with pytest.raises(StoreError, match=r"the directory of the store .*missing/store.sqlite is missing: make it"):
        SqliteStore(path.parent / "missing" / path.name)


def test_a_directory_is_no_store(path):
    path.mkdir()
    with pytest.raises(StoreError, match="is a directory: give a file"):
        SqliteStore(path)


def test_a_forbidden_directory_is_named(path):
    path.parent.chmod(0o000)
    try:
        with unprivileged(), pytest.raises(StoreError, match=r"permission denied: user \d+ must .*store\.sqlite"):
            SqliteStore(path)
    finally:
        path.parent.chmod(0o700)


def test_a_file_of_another_program_is_left_alone(path):
    content = b"to be, or not to be\n" * 100
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is not a store or is damaged"):
        SqliteStore(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE moz_cookies (name)")
        connection.execute(f"PRAGMA user_version = {SCHEMA.version}")
    content = path.read_bytes()
    with pytest.raises(StoreError, match="is a database of another program"):
        SqliteStore(path)
    assert path.read_bytes() == content


def test_a_newer_schema_is_refused(path):
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA.version + 1}")
    with pytest.raises(StoreError, match=r"newer Clipper \(its schema is 4, this Clipper knows 3\): upgrade"):
        SqliteStore(path)


def test_an_empty_file_becomes_a_store(path):
    path.touch()
    with closing(SqliteStore(path)) as store:
        assert store.read() == Registry()


def test_damaged_pages_are_told(path):
    with closing(SqliteStore(path)) as store:
        store.commit(Registry(), filled(0, 50_000))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with closing(SqliteStore(path)) as store, pytest.raises(StoreError, match="is damaged: put back a backup"):
        store.read()


def test_a_record_that_can_not_be_read_is_told(path):
    with closing(SqliteStore(path)) as store:
        store._file.execute("INSERT INTO applications VALUES ('a', '{')")
        with pytest.raises(StoreError, match="holds a record that can't be read"):
            store.read()


def test_waiting_for_a_lock_is_bounded(path):
    with closing(SqliteStore(path)) as other, closing(SqliteStore(path, lock_timeout=0.05)) as store:
        other._file.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"another process kept the store .* locked for 0.05 s"):
            store.commit(Registry(), filled(0, 1))
        assert store.read() == Registry()
        other._file.execute("ROLLBACK")
        store.commit(Registry(), filled(0, 1))


def test_waiting_for_a_lock_while_opening_is_bounded(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match=r"locked for 0.05 s"):
            SqliteStore(path, lock_timeout=0.05)


def test_a_writer_killed_in_the_middle_leaves_nothing_and_no_lock(path):
    program = (
        "import signal\n"
        "from clipper.store.sqlite import SqliteStore\n"
        f"store = SqliteStore({str(path)!r})\n"
        "store._file.execute('BEGIN IMMEDIATE')\n"
        "store._file.execute(\"INSERT INTO links VALUES ('a', '[]')\")\n"
        "print('half', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "half\n"
        process.kill()
        assert process.wait(timeout=30) == -signal.SIGKILL
    with closing(SqliteStore(path)) as store:
        assert store.read() == Registry()
        store.commit(Registry(), filled(0, 1))
        assert store.read() == filled(1, 1)


def test_processes_that_make_the_same_store_at_once_all_succeed(path):
    program = (
        f"from clipper.store.sqlite import SqliteStore\nimport sys\nsys.stdin.read()\nSqliteStore({str(path)!r})"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        process.stdin.close()
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]


def test_a_closed_store_says_so(path):
    store = SqliteStore(path)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.read()


def test_records_written_before_a_field_was_there_are_read(path):
    model = Model(name="m", version="1", input_type="doubles", batch_size=3, registration=1)
    with closing(SqliteStore(path)) as store:
        store.commit(Registry(), Registry(models={model.id: model}))
        ((record,),) = store._file.execute("SELECT record FROM models").fetchall()
        fields = json.loads(record)
        del fields["batching"], fields["batch_delay_micros"]
        store._file.execute("UPDATE models SET record = ?", (json.dumps(fields),))
        assert store.read().models == {model.id: model}


def test_a_store_of_an_older_schema_is_upgraded(path):
    with closing(SqliteStore(path)) as store:
        store.commit(Registry(), filled(0, 1))
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE shadows")
        connection.execute("ALTER TABLE frontends DROP COLUMN metrics_address")
        connection.execute("INSERT INTO frontends VALUES ('frontend-0', 1, 0)")
        connection.execute("PRAGMA user_version = 1")
    with closing(SqliteStore(path)) as store, closing(SqliteStore(path)) as other:
        assert store.read() == other.read() == replace(filled(0, 1), revision=1)
        store.commit(store.read(), replace(store.read(), shadows={"app0": ("mlp",)}))
        assert other.read().shadows == {"app0": ("mlp",)}
        store.report("frontend-0", 1, [], "h:1337")
        assert other.metrics_addresses() == {"frontend-0": "h:1337"}


def test_the_registrys_file_is_not_taken_for_a_journal(path):
    SqliteStore(path).close()
    with pytest.raises(StoreError, match="another program"), closing(SqliteJournal(path)):
        pass
