from __future__ import annotations

import random
from dataclasses import replace

import pytest

from clipper.execution.delay import LEAD, ArrivalRate, BatchDelay, Constant, Learned, Waiting, make_delay
from clipper.execution.latency import LatencyModel
from tests.clipper.execution.fakes import SUM, Stage, settings


def line(fixed: float, slope: float) -> LatencyModel:
    model = LatencyModel()
    for size in (1, 2, 4, 8):
        model.observe(size, fixed + slope * size)
    return model


MODEL = line(0.002, 0.00001)
MANY = Waiting(size=1, bound=100, oldest=0.0, slack=0.1, rate=5000.0)


def test_a_constant_delay_counts_from_the_oldest_query() -> None:
    delay = Constant(2000)
    assert delay.seconds(MANY, MODEL) == pytest.approx(0.002)
    assert delay.seconds(MANY._replace(oldest=0.0015), MODEL) == pytest.approx(0.0005)
    assert delay.seconds(MANY._replace(oldest=0.0021), MODEL) == 0.0


def test_a_timer_that_rings_a_bit_too_early_is_not_set_again() -> None:
    assert Constant(2000).seconds(MANY._replace(oldest=0.002 - 1e-9), MODEL) == 0.0
    assert Learned().seconds(MANY._replace(oldest=MODEL.fixed - 1e-9), MODEL) == 0.0


def test_a_constant_delay_waits_without_knowing_the_rate() -> None:
    assert Constant(2000).seconds(MANY._replace(rate=0.0), LatencyModel()) == pytest.approx(0.002)


@pytest.mark.parametrize("delay", [Constant(2000), Learned()])
def test_no_delay_goes_past_the_slack_of_the_most_urgent_query(delay: BatchDelay) -> None:
    assert delay.seconds(MANY._replace(slack=0.0001), MODEL) == pytest.approx(0.0001)
    assert delay.seconds(MANY._replace(slack=-0.001), MODEL) == 0.0


@pytest.mark.parametrize("delay", [Constant(2000), Learned()])
def test_a_full_batch_is_sent(delay: BatchDelay) -> None:
    assert delay.seconds(MANY._replace(size=100), MODEL) == 0.0


def test_zero_is_off_and_minus_one_is_learned() -> None:
    assert make_delay(0).seconds(MANY, MODEL) == 0.0
    assert isinstance(make_delay(-1), Learned)
    assert isinstance(make_delay(500), Constant)


def test_it_waits_while_the_next_query_saves_more_than_it_costs() -> None:
    """A batch costs 2 ms, and a query comes each 0.2 ms: worth it for 1 to 8 that wait, not for more."""
    delays = [Learned().seconds(MANY._replace(size=size), MODEL) > 0 for size in range(1, 15)]
    assert delays == [True] * 8 + [False] * 6


def test_it_does_not_wait_longer_than_there_is_to_gain() -> None:
    assert Learned().seconds(MANY._replace(oldest=0.0019), MODEL) == pytest.approx(0.0001, rel=0.01)
    assert Learned().seconds(MANY._replace(oldest=0.0021), MODEL) == 0.0


@pytest.mark.parametrize("rate", [0.0, 10.0, 400.0])
def test_it_does_not_wait_for_queries_that_are_rare(rate: float) -> None:
    assert Learned().seconds(MANY._replace(rate=rate), MODEL) == 0.0


def test_it_does_not_wait_if_batches_save_nothing() -> None:
    assert Learned().seconds(MANY, line(0.0, 0.002)) == 0.0
    assert Learned().seconds(MANY, LatencyModel()) == 0.0


def test_a_batch_for_a_busy_replica_stays_open_until_shortly_before_it_is_done() -> None:
    few = MANY._replace(rate=10.0)
    assert Learned().seconds(few._replace(busy=0.003), MODEL) == pytest.approx(0.003 - LEAD)
    assert Learned().seconds(few._replace(busy=LEAD), MODEL) == 0.0
    assert Learned().seconds(few._replace(busy=0.003, slack=0.001), MODEL) == pytest.approx(0.001)
    assert Learned().seconds(few._replace(busy=0.003, size=100), MODEL) == 0.0


def simulate(delay: BatchDelay, fixed: float, slope: float, rate: float) -> tuple[float, float]:
    """One container and 5,000 queries: the mean latency, and the share of the time that the container works."""
    rng = random.Random(4)
    arrivals, now = [], 0.0
    for _ in range(5000):
        now += rng.expovariate(rate)
        arrivals.append(now)
    latency, measured = line(fixed, slope), ArrivalRate(0.0)
    came, sent, free_at, until, total, work = 0, 0, 0.0, 0.0, 0.0, 0.0
    while sent < len(arrivals):
        ready = max(free_at, until) if sent < came else float("inf")
        if came < len(arrivals) and arrivals[came] <= ready:
            now = arrivals[came]
            measured.observe(now)
            came += 1
            until = now
        else:
            now = ready
        if now < free_at:
            continue
        waiting = Waiting(came - sent, 1000, now - arrivals[sent], 1.0, measured.at(now))
        more = delay.seconds(waiting, latency) if came < len(arrivals) else 0.0
        if more > 1e-9:
            until = now + more
            continue
        took = fixed + slope * (came - sent)
        free_at = now + took
        total += sum(free_at - asked for asked in arrivals[sent:came])
        work += took
        sent = came
    return total / len(arrivals), work / free_at


@pytest.mark.parametrize(("fixed", "slope"), [(0.002, 1e-5), (0.0004, 1e-5), (0.007, 2e-5), (0.002, 2e-4)])
@pytest.mark.parametrize("rate", [50.0, 1000.0, 4000.0])
def test_the_learned_delay_costs_no_latency_and_no_work(fixed: float, slope: float, rate: float) -> None:
    at_once, busy = simulate(Constant(0), fixed, slope, rate)
    waited, busy_waited = simulate(Learned(), fixed, slope, rate)
    assert waited <= 1.01 * at_once
    assert busy_waited <= 1.001 * busy


def test_the_learned_delay_saves_work_where_batches_are_small_and_their_fixed_cost_large() -> None:
    _, busy = simulate(Constant(0), 0.002, 1e-5, 1000.0)
    _, busy_waited = simulate(Learned(), 0.002, 1e-5, 1000.0)
    assert busy_waited < 0.98 * busy


def test_the_rate_is_that_of_what_came() -> None:
    rate = ArrivalRate(10.0)
    assert rate.at(10.0) == rate.at(11.0) == 0.0
    for number in range(1, 1001):
        rate.observe(10.0 + number / 500)
    assert rate.at(12.0) == pytest.approx(500, rel=0.01)
    assert rate.at(13.0) == pytest.approx(500 * 2.718281828**-4, rel=0.01)


def test_the_rate_is_right_from_the_start_and_follows() -> None:
    rate = ArrivalRate(0.0)
    for number in range(1, 11):
        rate.observe(number / 1000)
    assert rate.at(0.010) == pytest.approx(1000, rel=0.05)
    for number in range(1, 101):
        rate.observe(0.010 + number / 100, queries=5)
    assert rate.at(1.010) == pytest.approx(500, rel=0.05)


def test_a_delay_never_costs_a_query_its_deadline() -> None:
    stage = Stage(batch_size=1000)
    stage.executor.configure({SUM: replace(settings(batch_size=1000), batch_delay_micros=3_600_000_000)}, stage.now)
    replica, link = stage.join()
    for number in range(3):
        waiter = stage.submit(b"%d" % number)
        stage.flush()
        assert number == 0 or not replica.outstanding, "it waits for more"
        while not replica.outstanding:
            stage.now = stage.rings.pop(0) + 0.001  # timers ring late
            stage.executor.ring(stage.now)
        stage.answer(replica, link, 0.002)
        assert waiter.outputs, waiter.failures
        assert link.batches[-1][2] >= 5_000, "there was time left on the way"
