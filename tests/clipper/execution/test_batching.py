from __future__ import annotations

import random

import pytest

from clipper.execution.batching import MAX_BATCH, Aimd, BatchSizer, Fixed, LatencyModel


def run(sizer: BatchSizer, seconds_of: object, batches: int) -> int:
    for _ in range(batches):
        sizer.observe(seconds_of(sizer.size()), full=True)  # type: ignore[operator]
    return sizer.size()


def test_fixed_stays() -> None:
    assert run(Fixed(7), lambda n: 10.0 * n, 50) == 7


def test_aimd_finds_the_largest_batch_within_the_objective() -> None:
    rng = random.Random(1)
    sizer = Aimd(0.020)
    run(sizer, lambda n: 0.001 + n * 0.0001 * rng.uniform(0.95, 1.05), 400)
    assert 160 <= sizer.size() <= 195


def test_aimd_ignores_batches_that_were_not_full() -> None:
    sizer = Aimd(0.020)
    size = run(sizer, lambda n: 0.001, 10)
    for seconds in (0.0001, 5.0):
        sizer.observe(seconds, full=False)
    assert sizer.size() == size == 21


def test_aimd_steps() -> None:
    sizer = Aimd(1.0)
    assert sizer.size() == 1
    sizer.observe(0.5, full=True)
    assert sizer.size() == 3
    sizer.observe(0.95, full=True)
    assert sizer.size() == 3, "within 10 % of the objective it holds"
    sizer.observe(1.01, full=True)
    assert sizer.size() == 2


def test_aimd_recovers_after_a_hiccup_and_never_leaves_its_bounds() -> None:
    sizer = Aimd(0.020)
    before = run(sizer, lambda n: 0.0001 * n, 300)
    run(sizer, lambda n: 10.0, 1)
    assert run(sizer, lambda n: 0.0001 * n, 15) >= before * 0.95
    assert run(sizer, lambda n: 10.0, 200) == 1
    assert run(sizer, lambda n: 0.0, 5000) == MAX_BATCH


def test_the_latency_model_learns_a_line_and_forgets_a_hiccup() -> None:
    rng = random.Random(2)
    model = LatencyModel()
    assert model.predict(10) == 0.0
    for _ in range(100):
        n = rng.randint(1, 100)
        model.observe(n, 0.002 + 0.0001 * n)
    assert model.predict(50) == pytest.approx(0.007, rel=0.02)
    model.observe(50, 7.0)
    for _ in range(30):
        n = rng.randint(1, 100)
        model.observe(n, 0.002 + 0.0001 * n)
    assert model.predict(50) == pytest.approx(0.007, rel=0.2)


def test_the_latency_model_scales_when_it_has_seen_one_size_only() -> None:
    model = LatencyModel()
    for _ in range(5):
        model.observe(10, 0.010)
    assert model.predict(10) == pytest.approx(0.010)
    assert model.predict(20) == pytest.approx(0.020)
    assert model.predict(1) == pytest.approx(0.010)
