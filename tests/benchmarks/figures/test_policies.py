from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import traces
from benchmarks.figures.cache_policies import Real, hit_ratio
from benchmarks.figures.policies import POLICIES, Clock, Lru, S3Fifo, Sieve

TRACES = st.lists(st.integers(0, 12), max_size=150)
every_policy = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)


def replay(policy, trace, cost=1):
    """What was found, query by query."""
    found = []
    for key in trace:
        found.append(policy.fetch(key))
        if not found[-1]:
            policy.put(key, cost)
    return found


@every_policy
@given(trace=TRACES, limit=st.integers(1, 8))
def test_no_policy_holds_more_than_its_limit_or_what_was_never_put(make, trace, limit):
    policy = make(limit)
    found = replay(policy, trace)
    assert not any(hit for hit, key, n in zip(found, trace, range(len(trace)), strict=True) if key not in trace[:n])
    assert sum(policy.fetch(key) for key in set(trace)) == min(limit, len(set(trace)))


@every_policy
@given(costs=st.lists(st.integers(1, 6), min_size=1, max_size=40))
def test_costs_are_bounded_not_numbers(make, costs):
    policy = make(6)
    for key, cost in enumerate(costs):
        policy.put(key, cost)
    assert sum(cost for key, cost in enumerate(costs) if policy.fetch(key)) <= 6


@given(TRACES, st.integers(1, 8))
def test_lru_is_what_a_list_in_the_order_of_use_does(trace, limit):
    order: OrderedDict[int, None] = OrderedDict()
    expected = []
    for key in trace:
        expected.append(key in order)
        order[key] = None
        order.move_to_end(key)
        if len(order) > limit:
            order.popitem(last=False)
    assert replay(Lru(limit), trace) == expected


def held(policy, keys):
    return {key for key in keys if policy.fetch(key)}


def test_clock_gives_a_second_chance():
    clock = Clock(3)
    replay(clock, "abcad")
    assert held(clock, "abcd") == {"a", "c", "d"}


def test_sieve_keeps_the_place_of_what_it_spares():
    """The example that tells it from CLOCK: the newcomer is met before the one that was spared."""
    clock, sieve = Clock(3), Sieve(3)
    for policy in (clock, sieve):
        replay(policy, "abcadef")  # d drives out b, e c; now the hand is past a and meets d
    assert held(sieve, "abcdef") == {"a", "e", "f"}
    assert held(clock, "abcdef") == {"d", "e", "f"}


def test_s3_fifo_lets_a_scan_pass_through_its_small_queue():
    policy = S3Fifo(20)
    replay(policy, [*range(10)] * 4)
    replay(policy, range(100, 200))
    assert held(policy, range(10)) == set(range(10))


def test_zipf_draws_follow_the_law():
    trace = traces.zipf(100, 1.0, 50_000, np.random.default_rng(0))
    counted = np.bincount(trace, minlength=100)
    assert counted[0] / counted[9] == pytest.approx(10, rel=0.15)


def test_disturbed_traces_have_a_fifth_of_keys_that_come_once():
    trace = traces.zipf(100, 1.0, 50_000, np.random.default_rng(0))
    mixed = traces.disturbed(trace, 100, np.random.default_rng(1))
    once = mixed[mixed >= 100]
    assert len(once) == len(set(once.tolist()))
    assert len(once) / len(mixed) == pytest.approx(0.19, abs=0.01)


def test_popularity_shifts():
    trace = traces.shifting(np.zeros(100, dtype=np.int64), keys=1000, times=10)
    assert sorted(set(trace.tolist())) == list(range(0, 1000, 100))


def test_the_cache_that_serves_hits_as_often_as_the_policy_it_follows():
    rng = np.random.default_rng(3)
    sizes = traces.costs(2_000, rng) + 16
    trace = traces.zipf(2_000, 0.9, 20_000, rng).tolist()
    costs, limit = sizes.tolist(), int(sizes.sum() * 0.05)
    bare = hit_ratio(POLICIES["S3-FIFO, one bit"](limit), trace, costs, limit)
    assert hit_ratio(Real(limit), trace, costs, limit) == pytest.approx(bare, abs=0.02)
    assert bare > hit_ratio(Clock(limit), trace, costs, limit)
