"""Servers are started, asked until they answer rightly, and ended with all they started."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from benchmarks.environments import CannotRun
from benchmarks.peers import SYSTEMS, System
from benchmarks.servers import serving
from tests.benchmarks.asking import post

ECHO = SYSTEMS["echo"]


def broken(program: str, **about: object) -> System:
    return replace(ECHO, program=program, start_seconds=20.0, **about)  # type: ignore[arg-type]


def test_a_server_answers_and_is_ended() -> None:
    with serving(SYSTEMS["prototype"], "sum") as server:
        answer = json.loads(post(server.url, server.body))
    assert answer["output"] == pytest.approx(49.6)
    with pytest.raises(OSError, match="refused"):
        post(server.url, server.body)


def test_what_ends_while_starting_is_told_with_its_log() -> None:
    with (
        pytest.raises(CannotRun, match=r"ended with 1 .* No module named benchmarks\.nothing"),
        serving(broken("benchmarks.nothing"), "sum"),
    ):
        pass


def test_a_wrong_answer_is_not_measured() -> None:
    with (
        pytest.raises(CannotRun, match=r"no right answer in 1 s \(KeyError: 'output'\); its log ends: ready"),
        serving(replace(ECHO, checked=True, start_seconds=1.0), "sum"),
    ):
        pass


def test_nothing_that_a_server_started_is_left(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with serving(broken("tests.benchmarks.stray", variables={"STRAY": str(note)}), "sum"):
        helper = psutil.Process(int(note.read_text()))
        assert helper.is_running()
    assert not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE
