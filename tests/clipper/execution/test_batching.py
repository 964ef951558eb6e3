from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from clipper.execution.batching import (
    BATCHING,
    MAX_BATCH,
    Aimd,
    BatchSizer,
    Fixed,
    QuantileRegression,
    make_sizer,
    quantile_line,
)

LEARNED = pytest.mark.parametrize("sizer_of", [Aimd, QuantileRegression])
SizerOf = Callable[[float], BatchSizer]

CONTAINERS = {
    "no-op": (393e-6, 9.7e-6),
    "logistic regression": (896e-6, 11.3e-6),
    "linear SVM": (558e-6, 12.4e-6),
    "PySpark SVM": (735e-6, 23.6e-6),
    "random forest": (7236e-6, 21.4e-6),
    "kernel SVM": (2283e-6, 4703e-6),
}
"""Fixed seconds and seconds a query of the six containers of the paper's figure 3."""


class Container:
    """Takes a + b*n seconds, with some noise, for the full batches that a sizer asks for."""

    def __init__(self, sizer: BatchSizer, fixed: float, slope: float, noise: float = 0.02) -> None:
        self.sizer = sizer
        self.fixed = fixed
        self.slope = slope
        self.noise = noise
        self.random = random.Random(1)

    def work(self, batches: int, factor: float = 1.0) -> list[tuple[int, float]]:
        """The sizes and seconds of so many batches, each ``factor`` times as slow as usual."""
        done = []
        for _ in range(batches):
            size = self.sizer.size()
            seconds = (self.fixed + self.slope * size) * math.exp(self.random.gauss(0, self.noise)) * factor
            self.sizer.observe(size, seconds, full=True)
            done.append((size, seconds))
        return done


def test_fixed_stays() -> None:
    sizer = Fixed(7)
    Container(sizer, 10.0, 10.0).work(50)
    assert sizer.size() == 7
    assert sizer.settled


def test_a_size_that_is_given_is_taken_and_others_are_learned_by_name() -> None:
    assert isinstance(make_sizer("aimd", 5, 0.02), Fixed)
    assert make_sizer("aimd", 5, 0.02).size() == 5
    assert isinstance(make_sizer("aimd", -1, 0.02), Aimd)
    assert isinstance(make_sizer("quantile", -1, 0.02), QuantileRegression)
    assert set(BATCHING) == {"aimd", "quantile"}


@LEARNED
@pytest.mark.parametrize("name", CONTAINERS)
def test_the_throughput_is_near_the_best_and_batches_are_in_time(sizer_of: SizerOf, name: str) -> None:
    container = Container(sizer_of(0.020), *CONTAINERS[name])
    container.work(200)
    done = container.work(1000)
    best = int((0.020 - container.fixed) / container.slope)
    rate = sum(size for size, _ in done) / sum(seconds for _, seconds in done)
    assert rate >= 0.95 * best / 0.020
    assert sum(seconds > 0.020 for _, seconds in done) <= 0.025 * len(done)


@LEARNED
@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_the_noisier_the_container_the_more_room_is_left(sizer_of: SizerOf, noise: float) -> None:
    container = Container(sizer_of(0.020), 0.002, 0.0002, noise)
    container.work(300)
    late = sum(seconds > 0.020 for _, seconds in container.work(2000)) / 2000
    assert 0.001 < late < 0.07


@LEARNED
def test_the_bound_grows_fast_where_batches_are_large(sizer_of: SizerOf) -> None:
    container = Container(sizer_of(0.020), *CONTAINERS["no-op"])
    best = int((0.020 - container.fixed) / container.slope)
    container.work(20)
    assert container.sizer.size() >= 0.85 * best
    assert container.sizer.settled


@LEARNED
def test_it_starts_small_and_is_not_settled(sizer_of: SizerOf) -> None:
    sizer = sizer_of(0.020)
    assert sizer.size() == 1
    sizer.observe(1, 0.001, full=True)
    assert sizer.size() == 2
    assert not sizer.settled


@LEARNED
def test_one_hiccup_costs_a_tenth_at_most_and_is_over_soon(sizer_of: SizerOf) -> None:
    container = Container(sizer_of(0.020), 0.002, 0.0002)
    container.work(300)
    before = container.sizer.size()
    container.work(1, factor=10.0)
    assert container.sizer.size() >= int(0.9 * before)
    container.work(10)
    assert container.sizer.size() >= 0.95 * before


@LEARNED
def test_a_first_batch_that_takes_seconds_is_forgotten(sizer_of: SizerOf) -> None:
    container = Container(sizer_of(0.020), 0.002, 0.0001)
    container.work(1, factor=1000.0)
    assert container.sizer.size() == 1
    container.work(25)
    assert container.sizer.size() >= 120


@LEARNED
def test_a_container_that_becomes_three_times_as_slow_or_fast_is_followed(sizer_of: SizerOf) -> None:
    container = Container(sizer_of(0.020), 0.002, 0.0001)
    container.work(300)
    container.work(4, factor=3.0)
    slow = int((0.020 / 3 - 0.002) / 0.0001)
    assert 0.8 * slow <= container.sizer.size() <= 1.05 * slow
    container.work(300, factor=3.0)
    container.work(15)
    assert 0.85 * 180 <= container.sizer.size() <= 1.05 * 180


@LEARNED
def test_batches_that_were_not_full_neither_raise_nor_lower_the_bound(sizer_of: SizerOf) -> None:
    container = Container(sizer_of(0.020), 0.002, 0.0002)
    container.work(300)
    before = container.sizer.size()
    for _ in range(200):
        container.sizer.observe(3, 0.0026, full=False)
    container.sizer.observe(3, 5.0, full=False)
    assert container.sizer.size() == before


@LEARNED
def test_batches_that_take_too_long_lower_the_bound_though_they_were_not_full(sizer_of: SizerOf) -> None:
    """The dispatcher fills no batch that it expects to be late: the bound must come down without full ones."""
    container = Container(sizer_of(0.020), 0.002, 0.0002)
    container.work(300)
    for _ in range(3):
        container.sizer.observe(40, 0.040, full=False)
    assert container.sizer.size() < 40


@LEARNED
def test_the_bound_stays_within_its_limits(sizer_of: SizerOf) -> None:
    sizer = sizer_of(0.020)
    for _ in range(2000):
        sizer.observe(sizer.size(), 1e-6, full=True)
    assert sizer.size() == MAX_BATCH
    for _ in range(300):
        sizer.observe(sizer.size(), 10.0, full=True)
    assert sizer.size() == 1


def test_aimd_steps() -> None:
    sizer = Aimd(1.0)
    for seconds, size, why in (
        (0.1, 2, "it doubles far below the objective"),
        (0.1, 4, "it doubles"),
        (0.6, 6, "it adds two, or an eighth"),
        (0.95, 6, "within 10 % of the objective it holds"),
        (0.7, 8, "it adds two"),
        (1.01, 7, "it takes off a tenth"),
        (0.7, 7, "eight queries took too long just now"),
    ):
        sizer.observe(sizer.size(), seconds, full=True)
        assert sizer.size() == size, why


def test_aimd_tries_what_took_too_long_again_after_a_while() -> None:
    sizer = Aimd(1.0)
    for seconds in (0.1, 0.95, 0.6, 1.01):
        sizer.observe(sizer.size(), seconds, full=True)
    assert sizer.size() == 3
    for _ in range(Aimd.CALM - 1):
        sizer.observe(3, 0.8, full=True)
    assert sizer.size() == 3
    sizer.observe(3, 0.8, full=True)
    assert sizer.size() == 5


def test_quantile_regression_keeps_its_bound_when_the_window_holds_one_size() -> None:
    container = Container(QuantileRegression(0.020), 0.010, 0.0001)
    container.work(300)
    settled = container.sizer.size()
    sizes = [size for size, _ in container.work(1000)]
    assert min(sizes) >= 0.85 * settled
    assert max(sizes) <= 1.15 * settled


def test_quantile_regression_notices_a_change_while_the_load_is_light() -> None:
    container = Container(QuantileRegression(0.020), 0.002, 0.0001)
    container.work(300)
    for size in (20, 25, 20, 25):
        container.sizer.observe(size, 3 * (0.002 + 0.0001 * size), full=False)
    container.work(3, factor=3.0)
    assert container.sizer.size() == pytest.approx((0.020 / 3 - 0.002) / 0.0001, rel=0.2)


def test_a_fixed_cost_near_the_objective_does_not_end_the_search() -> None:
    container = Container(QuantileRegression(0.020), 0.012, 0.00002)
    container.work(100)
    assert container.sizer.size() >= 300


def test_the_quantile_line_has_the_least_loss() -> None:
    random_numbers = np.random.default_rng(3)
    sizes = random_numbers.integers(10, 400, 128).astype(np.float64)
    seconds = (0.002 + 0.0001 * sizes) * np.exp(random_numbers.normal(0, 0.05, 128))

    def loss(fixed: float, slope: float) -> float:
        over = seconds - fixed - slope * sizes
        return float(np.maximum(0.99 * over, -0.01 * over).sum())

    fixed, slope = quantile_line(sizes, seconds, 0.99)
    slopes = np.linspace(0, 3e-4, 1001)
    least = min(loss(float(left), each) for each in slopes for left in np.sort(seconds - each * sizes)[-4:])
    assert loss(fixed, slope) <= 1.01 * least
    assert np.mean(seconds <= fixed + slope * sizes + 1e-12) >= 0.98
