"""A container's log lines, and what clients call the requests they are about."""

import json
import logging
import re

import pytest

from clipper.container.batch import Model
from clipper.container.log import TracebackLog, is_logged, log
from clipper.container.request_ids import CURRENT, Current
from clipper.container.stand_in import _Finder
from clipper.log_format import TEXT, TextLines
from clipper.rpc.wire import FrameReader, InputType, decode_outcomes, encode_batch
from clipper_admin import logs
from tests.outcomes import apart

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"


@pytest.fixture
def as_json(monkeypatch):
    monkeypatch.setenv("CLIPPER_LOG_FORMAT", "json")
    monkeypatch.setenv("CLIPPER_MODEL_NAME", "sum")
    monkeypatch.setenv("CLIPPER_MODEL_VERSION", "2")
    monkeypatch.setenv("CLIPPER_REPLICA_ID", "0")


def ask(function, inputs, request_ids=()):
    (frame,) = FrameReader().feed(encode_batch(7, inputs, 60_000_000, request_ids))
    (answer,) = FrameReader().feed(Model(function, InputType.BYTES).answer(frame))
    return apart(decode_outcomes(answer))


def test_text_is_as_the_servers(capsys):
    log("it happened", "warning", detail="for programs")
    said = capsys.readouterr().err
    assert re.fullmatch(STAMP + " WARNING container: it happened\n", said)
    record = logging.makeLogRecord({"name": "container", "levelname": "WARNING", "msg": "it happened"})
    theirs = TextLines(TEXT).format(record)
    assert theirs[len(said.split("WARNING")[0]) :] + "\n" == said[said.index("WARNING") :]


def test_further_lines_are_indented_as_in_the_servers(capsys):
    text = "x\n2026-11-28 15:00:00,000 ERROR   container: forged\r\n\rlast\n"
    log(text, "warning")
    said = capsys.readouterr().err
    assert said.splitlines()[1:] == ["    2026-11-28 15:00:00,000 ERROR   container: forged", "    ", "    last"]
    record = logging.makeLogRecord({"name": "container", "levelname": "WARNING", "msg": text})
    assert TextLines(TEXT).format(record).splitlines()[1:] == said.splitlines()[1:]


def test_json_says_which_replica_it_is(as_json, capsys):
    log("it\nhappened", "warning", detail=3, nothing="")
    line = json.loads(capsys.readouterr().err)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    own = {"model": "sum", "version": "2", "replica": "0", "logger": "container"}
    assert line == own | {"level": "warning", "message": "it\nhappened", "detail": 3}


@pytest.mark.parametrize(
    ("least", "written"),
    [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e"), ("nonsense", "iwe")],
)
def test_levels(monkeypatch, capsys, least, written):
    monkeypatch.setenv("CLIPPER_LOG_LEVEL", least)
    for level in ("debug", "info", "warning", "error"):
        log(level[0], level)
        assert is_logged(level) is (level[0] in written)
    assert [line[-1] for line in capsys.readouterr().err.splitlines()] == list(written)


def failing_on(bad):
    def function(inputs):
        if any(each[0] == bad for each in inputs):
            raise ValueError("a bad one")
        return [int(each[0]) for each in inputs]

    return function


def test_a_failure_names_the_requests_of_its_batch(capsys):
    ask(failing_on(2), [b"\1", b"\2", b"\3"], ["r-1", "", "r-3"])
    assert "The model raised on a batch of 3 (requests r-1, r-3):\n    Traceback" in capsys.readouterr().err


def test_a_failure_of_one_names_it_in_json(as_json, capsys):
    ask(failing_on(2), [b"\2"], ["r-2"])
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["request_ids"], line["queries"]) == ("error", ["r-2"], 1)
    assert line["message"].endswith("ValueError: a bad one")


def test_many_requests_are_not_all_in_the_text(capsys):
    TracebackLog().write(ValueError(), 12, 0.0, [f"r-{number}" for number in range(12)])
    assert "r-8, r-9 and 2 more):" in capsys.readouterr().err


def test_every_batch_is_a_line_where_the_level_is_debug(as_json, monkeypatch, capsys):
    monkeypatch.setenv("CLIPPER_LOG_LEVEL", "debug")
    ask(failing_on(9), [b"\1", b"\2"], ["", "r-2"])
    line = json.loads(capsys.readouterr().err)
    assert line["message"].startswith("Answered a batch of 2 in ")
    assert (line["level"], line["queries"], line["failed"], line["request_ids"]) == ("debug", 2, 0, ["r-2"])
    monkeypatch.delenv("CLIPPER_LOG_LEVEL")
    ask(failing_on(9), [b"\1"])
    assert capsys.readouterr().err == ""


def test_the_function_knows_the_requests_it_works_on():
    """Also while halves of a batch are tried again."""
    seen = []

    def function(inputs):
        seen.append(logs.request_ids())
        if len(inputs) > 1:
            raise ValueError("one at a time")
        return [0]

    assert ask(function, [b"a", b"b"], ["r-1", ""]) == [(True, b"0"), (True, b"0")]
    assert seen == [["r-1", ""], ["r-1"], [""]]
    seen.clear()
    ask(function, [b"a", b"b"])
    assert seen == [["", ""], [""], [""]]


def test_outside_of_a_model_there_are_no_requests():
    assert Current().request_ids() == []


def test_environments_without_clipper_admin_have_it_as_well():
    finder = _Finder()
    spec = finder.find_spec("clipper_admin.logs", None)
    module = type(logs)("clipper_admin.logs")
    module.__spec__ = spec
    module.__name__ = "clipper_admin.logs"
    finder.exec_module(module)
    CURRENT.set(["r-9"], 1)
    assert module.request_ids() == ["r-9"]
