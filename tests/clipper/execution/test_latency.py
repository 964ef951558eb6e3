from __future__ import annotations

import math
import random

import pytest

from clipper.execution.latency import LatencyModel, Overhead, Surprise


class Container:
    """Takes 2 ms + 0.1 ms a query, with some noise."""

    def __init__(self, noise: float = 0.02) -> None:
        self.model = LatencyModel()
        self.noise = noise
        self.random = random.Random(2)

    def work(self, batches: int, sizes: tuple[int, int] = (1, 100), factor: float = 1.0) -> None:
        for _ in range(batches):
            size = self.random.randint(*sizes)
            self.model.observe(size, true(size) * factor * math.exp(self.random.gauss(0, self.noise)))


def true(size: int) -> float:
    return 0.002 + 0.0001 * size


def test_nothing_is_expected_before_anything_was_seen() -> None:
    assert LatencyModel().predict(10) == 0.0
    assert LatencyModel().latest(10) == 0.0


@pytest.mark.parametrize("size", [1, 50, 100, 200])
def test_it_learns_a_line(size: int) -> None:
    container = Container()
    container.work(100)
    assert container.model.predict(size) == pytest.approx(true(size), rel=0.05)
    assert container.model.fixed + container.model.slope * size == container.model.predict(size)


def test_two_sizes_are_enough() -> None:
    model = LatencyModel()
    for size in (1, 2):
        model.observe(size, true(size))
    assert model.predict(50) == pytest.approx(true(50))


def test_a_larger_batch_is_hoped_to_take_no_longer_until_one_was_tried() -> None:
    model = LatencyModel()
    for _ in range(5):
        model.observe(10, 0.010)
    assert model.predict(1) == model.predict(10) == model.predict(100) == pytest.approx(0.010)
    model.observe(100, 0.100)
    assert model.predict(50) == pytest.approx(0.050, rel=0.1)


def test_batches_that_take_no_time_are_no_harm() -> None:
    model = LatencyModel()
    for seconds in (0.0, 0.0, 0.001, 0.001, 0.0, 0.001):
        model.observe(3, seconds)
    assert model.predict(3) == pytest.approx(0.001, rel=0.1)


def test_one_hiccup_changes_nothing() -> None:
    container = Container()
    container.work(100)
    before = container.model.predict(50), container.model.latest(50)
    assert container.model.observe(50, 10 * true(50)) is None
    assert (container.model.predict(50), container.model.latest(50)) == before


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_lasting_change_is_followed_after_two_batches_at_every_size(factor: float) -> None:
    container = Container()
    container.work(100)
    container.work(2, sizes=(40, 60), factor=factor)
    for size in (1, 50, 200):
        assert container.model.predict(size) == pytest.approx(factor * true(size), rel=0.1)


def test_a_slow_drift_is_followed() -> None:
    container = Container()
    for step in range(200):
        container.work(1, factor=1.01**step)
    assert container.model.predict(50) == pytest.approx(1.01**200 * true(50), rel=0.15)


def test_a_slow_first_batch_is_forgotten_after_two_more() -> None:
    model = LatencyModel()
    for seconds in (5.0, 0.001, 0.001):
        model.observe(1, seconds)
    assert model.predict(1) == pytest.approx(0.001, rel=0.1)


def test_hiccups_now_and_then_do_not_add_up() -> None:
    container = Container()
    for _ in range(50):
        container.work(5)
        container.work(1, factor=10.0)
    assert container.model.predict(50) == pytest.approx(true(50), rel=0.05)


def test_the_slope_is_not_forgotten_while_all_sizes_are_alike() -> None:
    container = Container()
    container.work(100)
    container.work(3000, sizes=(98, 100))
    for size in (1, 50, 200):
        assert container.model.predict(size) == pytest.approx(true(size), rel=0.2)


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_it_never_expects_less_for_more_nor_more_than_in_proportion(size: int) -> None:
    container = Container(noise=1.0)
    container.work(200)
    smaller, larger = container.model.predict(size), container.model.predict(size + 1)
    assert 0.0 <= smaller <= larger <= smaller * (size + 1) / size * (1 + 1e-9)


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
def test_few_batches_take_longer_than_the_latest(noise: float) -> None:
    container = Container(noise)
    container.work(100)
    late = 0
    for _ in range(2000):
        latest = container.model.latest(50)
        late += true(50) * math.exp(container.random.gauss(0, noise)) > latest
        container.work(1)
    assert late / 2000 < 0.04


def test_a_surprise_is_a_hiccup_and_a_second_one_a_change() -> None:
    surprise = Surprise()
    assert surprise.judge(1.4, 1.5) == 1.0
    assert surprise.judge(10.0, 1.5) is None
    assert surprise.judge(1.0, 1.5) == 1.0
    assert surprise.judge(10.0, 1.5) is None
    assert surprise.judge(3.0, 1.5) == 3.0, "the lesser one counts"
    assert surprise.judge(0.1, 1.5) is None
    assert surprise.judge(10.0, 1.5) is None, "too quick and too slow do not make a change"
    assert surprise.judge(0.1, 1.5) is None
    assert surprise.judge(0.3, 1.5) == 0.3


def test_the_overhead_is_what_few_answers_exceed() -> None:
    overhead = Overhead()
    assert overhead.high == 0.0
    for _ in range(200):
        overhead.observe(0.001)
    assert overhead.high == pytest.approx(0.001)
    for number in range(200):
        overhead.observe(0.001 if number % 10 else 0.004)
    assert 0.002 < overhead.high < 0.006
