"""Closed-loop load, by wrk and by the generator that stands in where it is not installed."""

from __future__ import annotations

import shutil

import pytest

from benchmarks import load
from tests.benchmarks import peer


@pytest.fixture(params=["wrk", "asyncio"])
def generator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "asyncio":
        monkeypatch.setattr(shutil, "which", lambda name: None)
    elif shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    return str(request.param)


def test_it_measures(generator: str) -> None:
    with peer.answering(lambda number: peer.OK) as (url, seen):
        found = load.measure(url, 4, 1)
    assert load.generator_name() == generator
    assert 0 < found.requests <= seen.count
    assert found.good_rate == found.rate == pytest.approx(found.requests / 1, rel=0.5)
    assert 0 < found.p50 <= found.p99 <= found.p999
    assert (found.not_ok, found.broken) == (0, 0)


def test_defaults_and_refusals_are_not_ok(generator: str) -> None:
    answers = [peer.OK, peer.DEFAULT, peer.BUSY]
    with peer.answering(lambda number: answers[number % 3]) as (url, _):
        found = load.measure(url, 3, 1)
    assert found.not_ok / found.requests == pytest.approx(2 / 3, abs=0.05)
    assert found.good_rate == pytest.approx(found.rate / 3, rel=0.2)


@pytest.mark.usefixtures("generator")
def test_any_bytes_can_be_the_body() -> None:
    with peer.answering(lambda number: peer.OK) as (url, _):
        found = load.measure(url, 2, 1, b"\0\r\n\xff\"'" * 1000, "application/octet-stream")
    assert found.requests > 0
    assert (found.not_ok, found.broken) == (0, 0)


@pytest.mark.usefixtures("generator")
def test_where_nothing_listens_it_says_so() -> None:
    with peer.answering(lambda number: peer.OK) as (url, _):
        pass
    with pytest.raises(RuntimeError, match=r"nothing to measure|no answer came"):
        load.measure(url, 2, 1)
