"""How much of the load was too much, and what follows from it."""

from __future__ import annotations

import pytest

from clipper.execution.outlook import Pressure
from clipper.execution.replica import MOST_MARGIN, WAYS
from clipper.rpc.wire import Outcomes
from tests.clipper.execution.fakes import SUM, Stage


def test_nothing_presses_while_nothing_is_turned_down() -> None:
    pressure = Pressure()
    assert [pressure.served(10, 0.0) for _ in range(50)] == [0.0] * 50


def test_pressure_rises_with_what_is_turned_down_and_falls_again() -> None:
    pressure = Pressure()
    for _ in range(20):
        pressure.shed(10)
        pressing = pressure.served(10, 0.0)
    assert pressing == 1.0
    for _ in range(100):
        pressing = pressure.served(10, 0.0)
    assert pressing < 0.05


def test_pressure_is_over_after_a_second_without_a_batch() -> None:
    pressure = Pressure()
    for _ in range(20):
        pressure.shed(10)
        assert pressure.served(10, 5.0) > 0.0
    assert pressure.served(10, 6.5) == 0.0


def test_one_query_of_thousands_does_not_press() -> None:
    pressure = Pressure()
    pressure.shed(1)
    assert pressure.served(100, 0.0) < 0.05


class Worker:
    """A replica for an objective of 100 ms, whose batches of 20 ms come back ``overhead`` seconds later."""

    def __init__(self, overhead: float) -> None:
        self.stage = Stage(batch_size=4)
        self.replica, _ = self.stage.join()
        self.overhead = overhead
        for number in range(50):
            self.stage.submit(b"%d" % number)
            self.stage.flush()
            self.answer()

    def answer(self) -> None:
        self.stage.now += 0.02 + self.overhead
        ((batch_id, batch),) = self.replica.outstanding.items()
        outcomes = Outcomes([b"1"] * len(batch.flights))
        assert self.stage.executor.batch_answered(SUM, self.replica, batch_id, outcomes, self.stage.now, 0.02)


def test_the_margin_is_what_the_ways_take_times_the_pressure() -> None:
    replica = Worker(overhead=0.002).replica
    assert replica.margin == 0.0, "nothing was turned down"
    replica.keep_margin(1.0)
    assert replica.margin == pytest.approx(WAYS * 0.002, rel=0.1)
    replica.keep_margin(0.5)
    assert replica.margin == pytest.approx(WAYS * 0.001, rel=0.1)


def test_the_margin_leaves_time_for_the_model() -> None:
    replica = Worker(overhead=0.04).replica
    replica.keep_margin(1.0)
    assert replica.margin == pytest.approx(MOST_MARGIN * 0.1)


@pytest.mark.parametrize("pressing", [False, True])
def test_under_pressure_a_query_is_served_only_if_its_answer_comes_in_time_for_sure(pressing: bool) -> None:
    worker = Worker(overhead=0.005)
    stage = worker.stage
    stage.submit(b"busy")
    stage.flush()
    late = [stage.submit(b"late %d" % number, seconds=0.001) for number in range(50 * pressing)]
    tight = stage.submit(b"tight", seconds=0.02 + worker.overhead + 0.02 + worker.overhead / 2)
    stage.submit(b"fresh")
    worker.answer()
    assert all(each.failures for each in late)
    assert [reason for reason, _ in tight.failures] == ["overload"] * pressing


def test_queries_of_a_long_turn_are_sent_before_it_ends() -> None:
    stage = Stage()
    _, link = stage.join()
    stage.submit(b"first")
    assert link.batches == []
    stage.now += 0.0005
    stage.submit(b"second")
    assert link.batches == []
    stage.now += 0.0006
    stage.submit(b"third")
    assert [each for _, inputs, _ in link.batches for each in inputs] == [b"first", b"second"]


@pytest.mark.parametrize(("seconds", "at_once"), [(0.0001, True), (0.01, False)])
def test_where_queries_come_one_by_one_the_next_is_sent_at_once_if_it_is_soon_answered(
    seconds: float, at_once: bool
) -> None:
    stage = Stage()
    replica, link = stage.join()
    for number in range(5):
        stage.submit(b"%d" % number)
        stage.flush()
        stage.answer(replica, link, seconds)
    sent = len(link.batches)
    stage.submit(b"next")
    assert len(link.batches) - sent == at_once
    stage.submit(b"and another")
    assert len(link.batches) - sent == at_once, "the first one is worked on: those that come now share a batch"


def test_a_margin_that_would_leave_nobody_is_not_kept() -> None:
    """Else a model that takes most of the objective would turn down all, and never learn that nothing presses."""
    worker = Worker(overhead=0.01)
    worker.replica.keep_margin(1.0)
    assert worker.replica.margin > 0.019
    tight = worker.stage.submit(b"tight", seconds=0.035)
    worker.stage.flush()
    worker.answer()
    assert tight.outputs


def test_what_is_turned_down_for_the_margin_only_does_not_press() -> None:
    worker = Worker(overhead=0.01)
    for number in range(100):
        worker.replica.keep_margin(1.0)
        first = worker.stage.submit(b"first %d" % number)
        worker.stage.flush()
        worker.stage.submit(b"later %d" % number, seconds=0.03 + 0.02 + 0.015)
        worker.answer()
        assert first.outputs
        if worker.replica.outstanding:
            worker.answer()
    assert worker.replica.margin == 0.0
