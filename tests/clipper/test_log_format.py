"""The servers' log: a line an event, for people or for programs."""

import io
import json
import logging
import re

import pytest

from clipper import log_format
from clipper.container import log
from clipper.log_format import TEXT, JsonLines, TextLines, stamp


@pytest.fixture
def written():
    """Logs one event in a form; what came of it."""

    def write(formatter, *event, **options):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger = logging.Logger("clipper.test", logging.DEBUG)
        logger.addHandler(handler)
        logger.log(logging.WARNING, *event, **options)
        return stream.getvalue()

    return write


def test_text_is_for_people(written):
    line = written(TextLines(TEXT), "app %s is %d", "a", 3, extra={"request_id": "r-1", "app": "a"})
    assert re.fullmatch(r"[\d-]+ [\d:,]+ WARNING clipper.test: app a is 3 \(request r-1\)\n", line)
    assert written(TextLines(TEXT), "plain", extra={"request_id": ""}).endswith(": plain\n")


FORGED = "2026-11-28 15:00:00,000 ERROR   clipper.frontend.server: forged"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\n\n", "\x0b", "\x0c", "\x85", "\u2028"])
def test_text_from_elsewhere_begins_no_line(written, newline):
    lines = written(TextLines(TEXT), "the model said %s", f"x{newline}{FORGED}").splitlines()
    assert lines[0].endswith("WARNING clipper.test: the model said x")
    assert lines[-1] == f"    {FORGED}"


def test_a_traceback_is_indented_and_complete(written):
    try:
        raise ValueError(f"first\n{FORGED}")
    except ValueError:
        text = written(TextLines(TEXT), "it failed", exc_info=True, extra={"request_id": "r-1"})
    first, *lines = text.splitlines()
    assert first.endswith(": it failed (request r-1)")
    assert lines[0] == "    Traceback (most recent call last):"
    assert lines[-2:] == ["    ValueError: first", f"    {FORGED}"]
    assert all(line.startswith("    ") for line in lines)


def test_json_has_the_fields_of_the_process_and_of_the_event(written):
    extra = {"request_id": "r-1", "status": 200, "app": ""}
    line = json.loads(written(JsonLines({"frontend": "f-0"}), 'said "%s"\n', "ü", extra=extra))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "warning",
        "logger": "clipper.test",
        "message": 'said "ü"\n',
        "frontend": "f-0",
        "request_id": "r-1",
        "status": 200,
    }


def test_json_is_one_line_with_a_traceback_in_it(written):
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        text = written(JsonLines({}), "it failed", exc_info=True)
    assert text.count("\n") == 1
    line = json.loads(text)
    assert line["message"] == "it failed"
    assert line["traceback"].startswith("Traceback")
    assert line["traceback"].endswith("ValueError: first\nsecond")


def test_what_json_does_not_know_is_written_as_text(written):
    assert json.loads(written(JsonLines({}), "x", extra={"odd": {1}}))["odd"] == "{1}"


def test_servers_and_containers_know_the_same_levels_and_forms():
    assert (log_format.LEVELS, log_format.FORMATS) == (log.LEVELS, log.FORMATS)


def test_time_is_utc():
    assert stamp(0.0789) == "1970-01-01T00:00:00.078Z"
