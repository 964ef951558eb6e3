"""Open-loop runs: what is found of a server, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.generator import DEFAULT, OK
from benchmarks.openloop import OpenLoad
from benchmarks.overload import SHARES, Found, Point, capacity, measure, peak_of, result, sweep, verdicts
from benchmarks.peers import SYSTEMS
from benchmarks.servers import serving

pytestmark = pytest.mark.heavy


def point(rate: float, goodput: float, p99: float = 5.0, lag: float = 0.1) -> Point:
    """A second of load: ``goodput`` outputs at once, the rest defaults."""
    count = round(rate)
    outcomes = np.full(count, DEFAULT, np.uint8)
    outcomes[: round(goodput)] = OK
    ok = round(goodput)
    latencies = np.full(count, 1.0)
    return Point(rate, OpenLoad(count, count, ok, count - ok, 0, 1.0, 1.0, p99, p99, lag, 64, latencies, outcomes))


def found(at_80: Point, at_200: Point, at_500: Point) -> Found:
    rounds = dict(zip(SHARES, ([at_80], [at_200], [at_500]), strict=True))
    swept = [point(500, 500), point(1000, 992), point(1500, 1000), point(2000, 900)]
    return Found("timed", swept, rounds)


def test_capacity_is_what_is_served_in_time_and_the_peak_may_be_more() -> None:
    good = found(point(800, 800), point(2000, 960), point(5000, 950))
    assert (capacity(good.swept), peak_of(good.swept)) == (1000, 1000)
    assert capacity([point(500, 500), point(1000, 980), point(3000, 1200)]) == 500
    assert capacity([point(1000, 700), point(3000, 900)]) == 900, "nothing was served without a loss"
    assert [row[-1] for row in verdicts(good)] == ["yes"] * 6


def test_each_promise_can_be_missed() -> None:
    bad = found(point(800, 798, p99=20.1), point(2000, 940, p99=30.1), point(5000, 100, p99=900))
    assert [row[-1] for row in verdicts(bad)] == ["no"] * 6


def test_a_rate_that_could_not_be_sent_is_not_called_by_the_one_that_was_meant() -> None:
    limited = found(point(800, 800), point(2000, 960), point(3000, 950))
    assert [row[1] for row in verdicts(limited)][-1] == "3.0 x (all that can be sent here): p99 of all"


def test_a_late_generator_is_marked() -> None:
    text = result([found(point(800, 800, lag=9.0), point(2000, 960), point(5000, 950))]).tables[2].markdown()
    assert text.count("(!)") == 1
    assert "| 80% | 800 |" in text


def test_a_real_server_is_swept_until_it_declines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound on the rate ends the sweep where no decline does: none, with an SLO that a busy machine meets, too."""
    monkeypatch.setattr("benchmarks.overload.SLO", 1000.0)
    monkeypatch.setattr("benchmarks.overload.MOST_OFFERED", 900.0)
    with serving(SYSTEMS["prototype"], "sum") as server:
        points = sweep(server, 200.0, 0.3, step=2.0)
        assert list(dict.fromkeys(each.rate for each in points)) == [200.0, 400.0, 800.0]
        assert measure(server, 100.0, 0.3, seed=1).load.errors == 0
