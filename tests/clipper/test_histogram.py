from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper.distribution import SCALES, Distribution, Unit
from clipper.histogram import Histogram

SECONDS = st.floats(1e-6, 1000.0)
SIZES = st.integers(1, 4096)
WHOLE = st.lists(st.tuples(st.integers(1, 900), st.integers(1, 50)), max_size=40)


def recorded(values, unit: Unit = "seconds") -> Distribution:
    histogram = Histogram(unit)
    for value in values:
        histogram.record(value)
    return histogram.snapshot()


def recorded_times(values) -> Distribution:
    """Whole numbers of seconds, so that sums of floats are exact in any order."""
    histogram = Histogram("seconds")
    for value, times in values:
        histogram.record_times(float(value), times)
    return histogram.snapshot()


@given(st.lists(SECONDS, min_size=1, max_size=300), st.floats(0.0, 1.0))
@settings(max_examples=100)
def test_percentiles_of_seconds_are_near_the_exact_ones(values, fraction):
    exact = np.percentile(values, fraction * 100, method="weibull")
    assert recorded(values).percentile(fraction) == pytest.approx(exact, rel=0.025)


@given(st.lists(SIZES, min_size=1, max_size=300), st.floats(0.0, 1.0))
@settings(max_examples=100)
def test_percentiles_of_sizes_are_near_the_exact_ones(values, fraction):
    exact = np.percentile(values, fraction * 100, method="weibull")
    assert recorded(values, "queries").percentile(fraction) == pytest.approx(exact, rel=0.035)


@given(st.lists(st.integers(1, 32), min_size=1, max_size=100), st.floats(0.0, 1.0))
@settings(max_examples=50)
def test_percentiles_of_small_sizes_are_exact(values, fraction):
    exact = np.percentile(values, fraction * 100, method="weibull")
    assert recorded(values, "queries").percentile(fraction) == pytest.approx(exact, rel=1e-9)


def test_percentiles_agree_with_numpys_default_on_many_values():
    values = np.random.default_rng(7).lognormal(-5.0, 1.2, 20_000)
    held = recorded(values.tolist())
    for percent in (1, 50, 95, 99):
        assert held.percentile(percent / 100) == pytest.approx(np.percentile(values, percent), rel=0.025)


@given(st.lists(SECONDS, min_size=1, max_size=1200))
@settings(max_examples=30)
def test_count_and_moments_are_exact(values):
    held = recorded(values)
    assert held.count == sum(held.buckets.values()) == len(values)
    assert (held.minimum, held.maximum) == (min(values), max(values))
    assert held.sum == pytest.approx(sum(values))
    assert held.mean == pytest.approx(np.mean(values))
    assert held.std_dev == pytest.approx(np.std(values), rel=1e-6, abs=1e-6 * max(values))


@given(WHOLE)
@settings(max_examples=50)
def test_recording_a_value_many_times_is_recording_it_as_often(values):
    assert recorded_times(values) == recorded([float(value) for value, times in values for _ in range(times)])


@given(WHOLE, WHOLE, WHOLE)
@settings(max_examples=50)
def test_plus_is_recording_everything_in_one_and_associative(one, two, three):
    first, second, third = map(recorded_times, (one, two, three))
    assert first.plus(second).plus(third) == first.plus(second.plus(third)) == recorded_times(one + two + three)
    assert first.plus(second) == second.plus(first)


@pytest.mark.parametrize("unit", ["seconds", "queries"])
@pytest.mark.parametrize("far", [0.0, -1.0, 1e-12, 1e9])
def test_values_off_the_scale_are_counted_and_told_exactly(unit, far):
    held = recorded([far], unit)
    assert (held.count, held.minimum, held.maximum, held.percentile(0.5)) == (1, far, far, far)


@given(st.lists(SECONDS, max_size=200), st.integers(0, 16))
@settings(max_examples=50)
def test_at_most_is_exact_at_the_quarter_millisecond_and_its_doublings(values, doubling):
    edge = 0.00025 * 2**doubling
    assert edge in SCALES["seconds"].bounds
    held = recorded([*values, edge])
    assert held.at_most([edge]) == [sum(value <= edge for value in values) + 1]


def test_an_empty_histogram_tells_zeros():
    held = Histogram("seconds").snapshot()
    assert held == Distribution("seconds")
    assert (held.mean, held.std_dev, held.percentile(0.99), held.at_most([0.1, 1.0])) == (0.0, 0.0, 0.0, [0, 0])


def test_a_snapshot_does_not_change_when_more_is_recorded():
    histogram = Histogram("seconds")
    histogram.record(0.1)
    before = histogram.snapshot()
    histogram.record(0.1)
    assert (before.count, histogram.snapshot().count) == (1, 2)


@given(WHOLE)
@settings(max_examples=20)
def test_a_distribution_survives_both_encodings(values):
    held = recorded_times(values)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(held), type=Distribution) == held
    assert msgspec.json.decode(msgspec.json.encode(held), type=Distribution) == held
