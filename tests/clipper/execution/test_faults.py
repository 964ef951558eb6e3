"""Faults of other prediction servers, tried on the executor with a virtual clock.

The list of them is in ``tests/integration/test_peers_failures.py``.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from clipper.execution.batching import Aimd, QuantileRegression
from clipper.execution.flight import Flight
from clipper.execution.model import ModelSettings
from clipper.execution.replica import Replica
from tests.clipper.execution.fakes import SUM, RecordingLink, RecordingWaiter, Stage, settings


class Collision(bytes):
    """Inputs that all have one hash."""

    def __hash__(self) -> int:
        return 7


def test_inputs_whose_hashes_collide_are_asked_both_and_each_has_its_own_output() -> None:
    stage = Stage(batch_size=10)
    replica, link = stage.join()
    inputs = [Collision(b"a"), Collision(b"b")]
    waiters = [stage.submit(data) for data in inputs * 2]
    stage.flush()
    assert link.batches[0][1] == inputs, "in flight"
    stage.answer(replica, link)
    waiters += [stage.submit(data) for data in inputs]
    assert [each.outputs for each in waiters] == [[b'"a"'], [b'"b"']] * 3, "and in the cache"
    assert len(link.batches) == 1


def test_a_flight_that_was_joined_after_its_time_is_one_of_its_own() -> None:
    """The first has expired in a replica that hangs: its like is asked anew, and the late answer harms nobody."""
    stage = Stage(batch_size=1)
    hanging, hanging_link = stage.join(0)
    first = stage.submit(b"same")
    stage.flush()
    stage.now += 0.11
    second, second_link = stage.join(1)
    again = stage.submit(b"same")
    joined = stage.submit(b"same")
    stage.flush()
    assert [inputs for _, inputs, _ in second_link.batches] == [[b"same"]]
    stage.answer(hanging, hanging_link)
    stage.answer(second, second_link)
    assert [each.outputs for each in (first, again, joined)] == [[b'"same"']] * 3


def live_flights() -> int:
    gc.collect()
    return sum(isinstance(each, Flight) for each in gc.get_objects())


@pytest.mark.parametrize("same", [False, True], ids=["different inputs", "equal inputs"])
def test_a_full_queue_does_not_grow(same: bool) -> None:
    before = live_flights()
    stage = Stage(queue_limit=100, batch_size=1, cache_bytes=0 if same else 1 << 20)
    stage.join()
    shed = 0
    for number in range(20_000):
        waiter = stage.submit(b"same" if same else b"%d" % number, seconds=1000.0)
        stage.flush()
        shed += [reason for reason, _ in waiter.failures] == ["overload"]
    in_flight = 2
    assert stage.metrics.model(*SUM).queue_depth() == 100
    assert shed >= 20_000 - 100 - in_flight
    assert live_flights() - before <= 100 + in_flight


def test_the_inputs_that_wait_are_bounded_in_bytes_but_one_always_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipper.execution.model.QUEUE_BYTES", 100)
    stage = Stage(batch_size=1)
    replica, link = stage.join()
    stage.submit(b"busy")
    stage.flush()
    replica.pipeline_seconds = 0.0
    large = stage.submit(b"x" * 1000)
    refused = [stage.submit(b"y") for _ in range(1000)]
    assert {reason for each in refused for reason, _ in each.failures} == {"overload"}
    assert sum(bool(each.failures) for each in refused) == 1000
    stage.answer(replica, link)
    assert [len(inputs[0]) for _, inputs, _ in link.batches] == [4, 1000]
    waiters = [stage.submit(b"%060d" % number) for number in range(3)]
    assert [bool(each.failures) for each in [large, *waiters]] == [False, False, True, True]


def test_a_queue_of_queries_that_were_all_abandoned_gives_an_empty_batch_and_no_place() -> None:
    stage = Stage(batch_size=1)
    replica, link = stage.join()
    stage.submit(b"busy")
    stage.flush()
    for number in range(500):
        waiter = RecordingWaiter()
        flight = stage.executor.submit(SUM, b"%d" % number, stage.now + 0.1, waiter, stage.now)
        assert flight is not None
        stage.executor.forsake(flight, waiter)
    stage.flush()
    stage.answer(replica, link)
    assert [inputs for _, inputs, _ in link.batches] == [[b"busy"]]
    assert stage.metrics.model(*SUM).queue_depth() == 0


@pytest.mark.parametrize("batching", ["aimd", "quantile"])
@pytest.mark.parametrize("delay", [0, -1])
def test_a_lone_query_never_waits_for_a_batch(batching: str, delay: int) -> None:
    """Peers open a window of 5 s, or of 100 ms. Here one after another is sent the moment it comes."""
    stage = Stage()
    stage.executor.configure({SUM: ModelSettings(1, "doubles", -1, 0.1, batching, delay)}, stage.now)
    replica, link = stage.join()
    for number in range(300):
        stage.submit(b"%d" % number)
        stage.flush()
        assert len(link.batches) == number + 1
        stage.answer(replica, link, seconds=0.002)
        stage.now += 0.003


class Crowd:
    """Enough queries always wait; a batch of n takes 2 ms + 0.2 ms * n."""

    def __init__(self, batching: str) -> None:
        self.stage = Stage(cache_bytes=0)
        self.stage.executor.configure({SUM: ModelSettings(1, "doubles", -1, 0.1, batching)}, self.stage.now)
        self.replica, self.link = self.stage.join()
        self.replica.pipeline_seconds = 0.0
        self.number = 0

    def sizes(self, batches: int, factor: float = 1.0) -> Iterator[int]:
        for _ in range(batches):
            while self.stage.metrics.model(*SUM).queue_depth() < 600:
                if self.stage.submit(b"%d" % self.number).failures:
                    break
                self.number += 1
            self.stage.flush()
            batch_id, inputs, _ = self.link.batches[-1]
            assert batch_id in self.replica.outstanding
            self.stage.answer(self.replica, self.link, factor * (0.002 + 0.0002 * len(inputs)))
            yield len(inputs)


@pytest.mark.parametrize("batching", ["aimd", "quantile"])
def test_batches_are_as_large_as_before_soon_after_a_hiccup(batching: str) -> None:
    """One batch takes ten times as long. (Clipper's greatest latency never fell again.)"""
    crowd = Crowd(batching)
    before = list(crowd.sizes(200))[-50:]
    list(crowd.sizes(1, factor=10.0))
    after = list(crowd.sizes(30))[-20:]
    assert min(before) > 50
    assert sum(after) / len(after) >= 0.9 * sum(before) / len(before)


@pytest.mark.parametrize(("delay", "batches"), [(0, 50), (10_000, 5)])
def test_a_delay_makes_batches_larger(delay: int, batches: int) -> None:
    """A query each millisecond for 50 ms, to a replica that answers at once; 10 ms hold ten of them and the first."""
    stage = Stage()
    stage.executor.configure({SUM: ModelSettings(1, "doubles", 100, 0.1, "aimd", delay)}, stage.now)
    replica, link = stage.join()
    start = stage.now
    for number in range(50):
        stage.now = start + number * 0.001
        stage.executor.ring(stage.now)
        answer_all(stage, replica, link)
        stage.submit(b"%d" % number)
        stage.flush()
        answer_all(stage, replica, link)
    stage.now += 0.02
    stage.executor.ring(stage.now)
    answer_all(stage, replica, link)
    assert sum(len(inputs) for _, inputs, _ in link.batches) == 50
    assert abs(len(link.batches) - batches) <= batches // 10 + (delay > 0)


def test_the_way_to_learn_a_size_reaches_every_replica() -> None:
    stage = Stage()
    stage.executor.configure({SUM: ModelSettings(1, "doubles", -1, 0.1, "quantile")}, stage.now)
    replica, _ = stage.join()
    assert isinstance(replica.sizer, QuantileRegression)
    stage.executor.configure({SUM: ModelSettings(1, "doubles", -1, 0.1, "aimd")}, stage.now)
    assert isinstance(replica.sizer, Aimd)


def answer_all(stage: Stage, replica: Replica, link: RecordingLink) -> None:
    while replica.outstanding:
        stage.answer(replica, link, 0.0)


def test_a_replica_four_times_slower_does_its_share_and_makes_nobody_late() -> None:
    """Queries come all the time, more than the quick one can answer alone: each is given what it finishes in time."""
    stage = Stage(cache_bytes=0, batch_size=1)
    ends = [stage.join(0), stage.join(1)]
    for replica, _ in ends:
        replica.pipeline_seconds = 0.0
    costs, done, busy = (0.004, 0.016), [0, 0], [0.0, 0.0]
    waiters: list[RecordingWaiter] = []
    start = stage.now
    for tick in range(4000):
        stage.now = start + tick * 0.001
        for place, (replica, link) in enumerate(ends):
            if replica.outstanding and busy[place] <= stage.now + 1e-9:
                stage.answer(replica, link, 0.0)
                done[place] += 1
        stage.executor.ring(stage.now)
        if tick % 10 in (0, 3, 7):
            waiters.append(stage.submit(b"%d" % tick))
            stage.flush()
        for place, (replica, _) in enumerate(ends):
            if replica.outstanding and busy[place] <= stage.now + 1e-9:
                busy[place] = stage.now + costs[place]
    assert not any(each.failures for each in waiters)
    assert sum(done) == sum(bool(each.outputs) for each in waiters) >= 1190
    assert done[1] >= 190


def test_another_way_of_batching_under_way_loses_and_repeats_nothing() -> None:
    stage = Stage(cache_bytes=0)
    ends = [stage.join(0), stage.join(1)]
    ways = [
        settings(batch_size=1),
        settings(batch_size=50),
        ModelSettings(1, "doubles", -1, 0.1, "quantile", -1),
        ModelSettings(1, "doubles", -1, 0.1, "aimd", 3000),
        settings(),
    ]
    waiters: list[RecordingWaiter] = []
    for step in range(600):
        stage.executor.configure({SUM: ways[step % len(ways)]}, stage.now)
        waiters += [stage.submit(b"%d %d" % (step, each)) for each in range(step % 7)]
        stage.flush()
        for replica, link in ends:
            if replica.outstanding and step % 3:
                stage.answer(replica, link)
        stage.executor.ring(stage.now)
    for _ in range(2000):
        stage.now += 0.004
        stage.executor.ring(stage.now)
        for replica, link in ends:
            if replica.outstanding:
                stage.answer(replica, link)
    assert all(len(each.outputs) + len(each.failures) == 1 for each in waiters)
    assert sum(len(each.failures) for each in waiters) < 0.1 * len(waiters)
    assert stage.metrics.model(*SUM).queue_depth() == stage.metrics.model(*SUM).in_flight() == 0
