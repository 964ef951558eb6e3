import itertools
import json

import pytest

from clipper_admin import log_lines
from clipper_admin.log_lines import Tail, follow, last_lines, readable


def test_last_lines(tmp_path):
    (tmp_path / "a").write_bytes(b"1\n2\r\n\xff3")
    paths = {"a": tmp_path / "a", "missing": tmp_path / "b"}
    assert list(last_lines(paths, 2)) == [("a", "2"), ("a", "\ufffd3")]
    assert list(last_lines(paths, 0)) == []


def test_a_tail_gives_complete_lines_as_they_come(tmp_path):
    path = tmp_path / "log"
    tail = Tail(path)
    assert list(tail.read()) == []
    with path.open("a") as log:
        for text, expected in [("a\nb", ["a"]), ("c\n", ["bc"]), ("", [])]:
            log.write(text)
            log.flush()
            assert list(tail.read()) == expected
    tail.close()


def test_a_tail_follows_a_rotation(tmp_path):
    path = tmp_path / "log"
    path.write_text("old\n")
    tail = Tail(path)
    list(tail.read())
    with path.open("a") as log:
        log.write("last of the old\n")
    path.rename(tmp_path / "log.1")
    path.write_text("first of the new\n")
    assert list(tail.read()) == ["last of the old", "first of the new"]
    path.write_text("cut\n")
    assert list(tail.read()) == ["cut"]
    tail.close()


def test_follow_shows_the_last_lines_and_then_the_new_ones(tmp_path, monkeypatch):
    paths = {"a": tmp_path / "a", "b": tmp_path / "b"}
    paths["a"].write_text("1\n2\n3\n")
    monkeypatch.setattr(log_lines.time, "sleep", lambda _: paths["b"].write_text("new\n"))
    shown = follow(paths, 2)
    assert list(itertools.islice(shown, 3)) == [("a", "2"), ("a", "3"), ("b", "new")]
    shown.close()


@pytest.mark.parametrize("count", [0, 1])
def test_follow_from_the_end(tmp_path, count, monkeypatch):
    path = tmp_path / "a"
    path.write_text("1\n")

    def append(_):
        with path.open("a") as log:
            log.write("2\n")

    monkeypatch.setattr(log_lines.time, "sleep", append)
    shown = follow({"a": path}, count)
    assert next(shown) == ("a", "2" if count == 0 else "1")
    shown.close()


def test_json_of_servers_and_containers_is_readable():
    told = {"time": "2026-11-28T11:04:48.123Z", "level": "error", "logger": "container", "message": "it failed"}
    told |= {"request_id": "r-1", "traceback": "Trace\n  x\u2028y"}
    of_a_model = '{"time": broken\n{"other": 1}\n{"time": "x", "message": 5}'
    shown = "2026-11-28T11:04:48.123Z ERROR   container: it failed (request r-1)\n    Trace\n      x\n    y"
    line = json.dumps(told, ensure_ascii=False)
    assert readable(f"plain\n{line}\n{of_a_model}") == f"plain\n{shown}\n{of_a_model}"
