"""Feedback in files: JSON Lines as they come, and Parquet."""

import json
import os
import sys

import pytest

from clipper_admin.exceptions import ClipperException

LINE = {
    "position": 1,
    "query_id": 17,
    "app": "a",
    "user": "größe",
    "decided_at": 1.0,
    "at": 2.0,
    "epoch": 3,
    "linked": ["svm", "forest"],
    "asked": [{"model": "svm:1", "propensity": 0.5}],
    "shadows": ["mlp:1"],
    "outputs": {"svm:1": {"x": [1, None]}, "mlp:1": "7"},
    "answer": {"x": [1, None]},
    "default": False,
    "confidence": 1.0,
    "draw": 0.3,
    "label": 7,
    "losses": {"svm:1": 0, "mlp:1": 1.0},
    "loss": 0,
    "input_type": "bytes",
    "input": "AP8=",
}
DEFAULT = {**LINE, "position": 5, "answer": None, "default": True, "label": None, "loss": None}
DEFAULT.pop("input")


@pytest.fixture
def lines(connection, server, monkeypatch):
    """What the frontend has, in pages of two lines."""
    monkeypatch.setattr("clipper_admin.client.FEEDBACK_PAGE", 2)
    server.registry.feedback = [LINE, *({**LINE, "position": at} for at in (2, 4)), {**LINE, "app": "b"}, DEFAULT]
    return [each for each in server.registry.feedback if each["app"] == "a"]


def test_json_lines(connection, lines, server, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("from the last time")
    assert connection.export_feedback("a", str(path)) == 4
    assert list(map(json.loads, path.read_text().splitlines())) == lines
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]
    asked = [path for path, _ in server.registry.requests if path.startswith("/admin/feedback")]
    assert asked == [f"/admin/feedback?app_name=a&after={after}&limit=2" for after in (0, 2, 5)]


def test_no_feedback_is_an_empty_file(connection, tmp_path):
    assert connection.export_feedback("nothing", tmp_path / "a.jsonl") == 0
    assert (tmp_path / "a.jsonl").read_bytes() == b""


@pytest.mark.usefixtures("lines")
def test_what_fails_leaves_the_file_of_before(connection, server, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("from the last time")
    server.registry.failures["/admin/feedback"] = (500, "the disk is gone")
    with pytest.raises(ClipperException, match="the disk is gone"):
        connection.export_feedback("a", path)
    server.registry.failures["/admin/feedback"] = (200, "<html>\n")
    with pytest.raises(ClipperException, match=r"answered what is no feedback .* another program on this port"):
        connection.export_feedback("a", path)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["from the last time"]


@pytest.mark.parametrize("path", ["missing/a.jsonl", "."])
def test_files_that_can_not_be_written(connection, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ClipperException, match=r"can't be written to .*: give another path"):
        connection.export_feedback("a", path)


def test_a_pipe(connection, lines, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert connection.export_feedback("a", tmp_path / "pipe") == 4
    with open(reading) as pipe:
        assert list(map(json.loads, pipe.read().splitlines())) == lines


@pytest.mark.usefixtures("lines")
def test_parquet(connection, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    assert connection.export_feedback("a", path) == 4
    table = parquet.read_table(path)
    assert table.column_names == list(LINE)
    first, *_, last = table.to_pylist()
    texts = {name: json.dumps(LINE[name]) for name in ("outputs", "answer", "label", "losses")}
    assert first == {**LINE, **texts, "input": b"\x00\xff"}
    assert [last[name] for name in ("position", "answer", "default", "label", "loss", "input")] == [
        5,
        None,
        True,
        None,
        None,
        None,
    ]


@pytest.mark.usefixtures("lines")
def test_parquet_takes_pyarrow(connection, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ClipperException, match=r"`pip install pyarrow`, or give a path that ends in \.jsonl"):
        connection.export_feedback("a", tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []
