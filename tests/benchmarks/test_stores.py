"""What the benchmark of the stores measures; figures are for an idle machine."""

import shutil

import pytest

from benchmarks import stores
from benchmarks.figures.tables import markdown

RUN = {"date": "2026-01-01", "machine": "m", "cores": 2, "python": "3", "quick": True}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "FOLDER", tmp_path / "bench")


def columns(result):
    return {tuple(each.head[1:]) for each in result.tables}


def test_every_store_is_measured_in_every_way(tmp_path):
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed here: apt-get install redis-server")
    result = stores.run(quick=True)
    assert columns(result) == {("SQLite", "Redis, always", "Redis, every second")}
    assert [[row[0] for row in each.rows] for each in result.tables[:2]] == [
        ["1", "10", "100", "1000"],
        ["10", "100", "1000"],
    ]
    assert len(result.tables[2].rows) == 5
    assert all(figure > 0 for each in result.tables for row in each.rows for figure in row[1:])
    assert "the disk takes" in markdown(result, RUN)
    assert list((tmp_path / "bench").iterdir()) == [], "nothing is left"


def test_without_redis_sqlite_is_measured_alone(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(
        stores, "measure", lambda address, seconds: {"feedback 1": 2.0, "decisions 10": 3.0, "x": 4.0}
    )
    result = stores.run(quick=True)
    assert columns(result) == {("SQLite",)}
    assert result.remarks.endswith(stores.WITHOUT_REDIS)


def test_what_is_counted_is_what_is_written_and_not_the_making():
    clock = []

    def append(batch):
        clock.append(len(batch))

    assert stores.write(append, lambda number: number, 7, seconds=1e-5) > 0
    assert set(clock) == {7}
