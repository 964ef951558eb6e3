"""The open-loop generator, against servers that answer, refuse, hang up and stall."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from benchmarks import openloop
from benchmarks.generator import DEFAULT, ERROR, OK, arrivals
from tests.benchmarks import peer

BODY = b'{"input": [1.5]}'


def test_arrivals_are_a_poisson_process_of_the_rate() -> None:
    times = np.array(arrivals(1000.0, 20.0, seed=1))
    gaps = np.diff(times)
    assert len(times) == pytest.approx(20_000, rel=0.05)
    assert times.max() < 20
    assert gaps.min() >= 0
    assert gaps.mean() == pytest.approx(gaps.std(), rel=0.05)  # as those of an exponential distribution are
    assert arrivals(1000.0, 20.0, seed=1) == times.tolist()
    assert arrivals(1000.0, 20.0, seed=2) != times.tolist()


def test_each_request_is_sent_once_and_sorted_by_its_answer() -> None:
    answers = [peer.OK, peer.DEFAULT, peer.BUSY, None]
    with peer.answering(lambda number: answers[number % 4]) as (url, seen):
        load = openloop.run(url, BODY, 400, 0.5, connections=4)
        assert load.offered == load.ok + load.defaults + load.errors == seen.count
    assert load.completed == sum(answers[number % 4] is not None for number in range(load.offered))
    assert load.ok == np.count_nonzero(load.outcomes == OK) == len(range(0, load.offered, 4))
    assert load.defaults == np.count_nonzero(load.outcomes == DEFAULT) == len(range(1, load.offered, 4))
    assert load.errors == np.count_nonzero(load.outcomes == ERROR)
    assert load.goodput(60_000) == load.ok / 0.5
    assert load.goodput(0) == 0
    assert 0 < load.p50 <= load.p99 <= load.p999


def test_a_stalled_server_is_asked_all_the_same() -> None:
    """No coordinated omission: requests that fall into the stall are sent, on new connections, and count its time."""
    arrived = threading.Event()

    def stall(number: int) -> bytes:
        if number >= 49:
            arrived.set()  # had the generator waited for answers, it would have sent two requests, one a connection
        assert arrived.wait(30)
        return peer.OK

    with peer.answering(stall) as (url, _):
        load = openloop.run(url, BODY, 500, 0.3, connections=2)
    assert load.ok == load.offered > 50
    assert load.connections >= 50
    first = load.latencies[:50]
    assert (np.diff(first) < 50).all()  # the earlier it was due, the longer it waited for the end of the stall
    assert first[0] > first[49]


def test_bodies_take_turns() -> None:
    with peer.answering(lambda number: peer.OK) as (url, _):
        assert openloop.run(url, [BODY, b"x" * 3_000_000], 20, 0.5, connections=2).errors == 0


def test_where_nothing_listens_it_fails_at_once() -> None:
    with peer.answering(lambda number: peer.OK) as (url, _):
        pass
    with pytest.raises(RuntimeError, match="Connection refused"):
        openloop.run(url, BODY, 100, 60)


def test_runs_are_bounded() -> None:
    with pytest.raises(ValueError, match="ask for less"):
        openloop.run("http://127.0.0.1:1/", BODY, 1e6, 3600)
