from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper.metrics import DEFAULT_REASONS, Meter, Metrics
from clipper.snapshot import Rates, Snapshot, merge


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("answered"), st.sampled_from(["a", "b.c"]), st.integers(1, 9)),
        st.tuples(st.just("defaulted"), st.sampled_from(["a", "b.c"]), st.sampled_from(DEFAULT_REASONS)),
        st.tuples(st.just("batch"), st.sampled_from(["1", "2"]), st.integers(1, 64)),
        st.tuples(st.just("waited"), st.sampled_from(["1", "2"]), st.integers(1, 9)),
        st.tuples(st.just("hit"), st.sampled_from(["1", "2"]), st.none()),
        st.tuples(st.just("status"), st.sampled_from([200, 404, 500]), st.none()),
    ),
    max_size=30,
)


def play(metrics: Metrics, events) -> None:
    """Durations are whole seconds, so that sums of floats are exact in any order."""
    for kind, who, what in events:
        match kind:
            case "answered":
                metrics.app(who).answered(float(what))
            case "defaulted":
                metrics.app(who).defaulted(what, 4.0)
            case "batch":
                metrics.model("m", who).batch_done(what, 2.0)
            case "waited":
                metrics.model("m", who).waited([1.0] * what)
            case "hit":
                metrics.model("m", who).hits += 1
            case "status":
                metrics.process.statuses[who] += 1


def told(*plays) -> Snapshot:
    """The merged snapshots of frontends that each saw one of ``plays``, at a moment when all rates are still zero."""
    snapshots = []
    for events in plays:
        metrics = Metrics(Clock(), version="1.0")
        play(metrics, events)
        snapshots.append(metrics.snapshot())
    return merge(snapshots)


def without_frontends(snapshot: Snapshot) -> Snapshot:
    process = msgspec.structs.replace(snapshot.process, up=0, storeless=0)
    return msgspec.structs.replace(snapshot, process=process)


@given(EVENTS, EVENTS, EVENTS)
@settings(max_examples=50)
def test_merging_frontends_is_recording_everything_in_one(one, two, three):
    assert without_frontends(told(one, two, three)) == without_frontends(told(one + two + three))


@given(EVENTS, EVENTS, EVENTS)
@settings(max_examples=50)
def test_merge_is_associative_and_nothing_is_neutral(one, two, three):
    first, second, third = told(one), told(two), told(three)
    assert merge([merge([first, second]), third]) == merge([first, merge([second, third])])
    assert merge([Snapshot(), first]) == first == merge([first, Snapshot()])


@given(EVENTS)
@settings(max_examples=30)
def test_a_snapshot_survives_both_encodings(events):
    snapshot = told(events)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=Snapshot) == snapshot
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot


def test_an_application_counts_outcomes_and_reasons():
    app = Metrics(Clock()).app("a")
    app.answered(0.25)
    app.answered(0.5)
    app.defaulted("deadline", 1.0)
    app.errors += 1
    snapshot = app.snapshot(0.0)
    assert (snapshot.ok, snapshot.errors, snapshot.latency.count, snapshot.latency.sum) == (2, 1, 3, 1.75)
    assert snapshot.defaults == {**dict.fromkeys(DEFAULT_REASONS, 0), "deadline": 1}


def test_an_unknown_reason_is_an_error_and_counts_nothing():
    app = Metrics(Clock()).app("a")
    with pytest.raises(KeyError):
        app.defaulted("bad luck", 1.0)
    assert app.snapshot(0.0).latency.count == 0


def test_a_batch_counts_once_in_sizes_and_for_each_query_in_latency():
    model = Metrics(Clock()).model("m", "1")
    model.batch_done(3, 0.5)
    model.batch_done(1, 0.25)
    snapshot = model.snapshot(0.0, "f")
    assert (snapshot.batches, snapshot.predictions) == (2, 4)
    assert (snapshot.batch_size.count, snapshot.batch_size.sum) == (2, 4)
    assert (snapshot.latency.count, snapshot.latency.sum) == (4, 1.75)


def test_gauges_are_read_when_a_snapshot_is_taken():
    metrics = Metrics(Clock(), "frontend-3", "1.2")
    queue = [1, 2]
    metrics.model("m", "1").queue_depth = queue.__len__
    metrics.process.cache_bytes = lambda: 10 * len(queue)
    metrics.process.store_up = lambda: 1
    queue.append(3)
    snapshot = metrics.snapshot()
    assert snapshot.models["m"]["1"].queue_depth == 3
    assert (snapshot.process.cache_bytes, snapshot.process.storeless, snapshot.process.versions) == (30, 0, {"1.2"})


def test_gauges_of_frontends_add_but_replicas_stay_apart():
    frontends = [Metrics(Clock(), name) for name in ("frontend-0", "frontend-1")]
    for frontend in frontends:
        model = frontend.model("m", "1")
        model.queue_depth, model.in_flight, model.replicas = (lambda: 5), (lambda: 2), (lambda: 3)
    merged = merge(frontend.snapshot() for frontend in frontends).models["m"]["1"]
    assert (merged.queue_depth, merged.in_flight) == (10, 4)
    assert merged.replicas == {"frontend-0": 3, "frontend-1": 3}


def test_the_same_object_is_returned_until_it_is_forgotten():
    metrics = Metrics(Clock())
    app, model = metrics.app("a"), metrics.model("m", "1")
    assert metrics.app("a") is app
    assert metrics.model("m", "1") is model
    metrics.forget_app("a")
    metrics.forget_model("m", "1")
    assert metrics.app("a") is not app
    assert metrics.model("m", "1") is not model


def test_labels_stay_bounded_as_applications_and_versions_come_and_go():
    metrics = Metrics(Clock())
    sizes = set()
    for version in range(200):
        metrics.app(f"app-{version}").answered(1.0)
        metrics.model("m", str(version)).batch_done(2, 1.0)
        metrics.forget_app(f"app-{version}")
        metrics.forget_model("m", str(version))
        snapshot = metrics.snapshot()
        assert (snapshot.apps, snapshot.models) == ({}, {})
        sizes.add(len(msgspec.msgpack.encode(snapshot)))
    assert max(sizes) - min(sizes) < 64


def test_counts_over_all_models_outlive_a_version_but_its_gauges_do_not():
    metrics = Metrics(Clock())
    model = metrics.model("m", "1")
    model.queue_depth = lambda: 7
    model.batch_done(2, 1.0)
    model.hits += 3
    metrics.model("m", "2").batch_done(5, 1.0)
    metrics.forget_model("m", "1")
    metrics.forget_model("m", "never seen")
    every = metrics.snapshot().all_models
    assert (every.predictions, every.hits, every.queue_depth, every.batch_size.count) == (7, 3, 0, 2)


@pytest.mark.parametrize(
    ("status", "status_class"), [(100, "1xx"), (200, "2xx"), (304, "3xx"), (499, "4xx"), (503, "5xx")]
)
def test_responses_are_counted_by_class(status, status_class):
    metrics = Metrics(Clock())
    metrics.process.statuses[status] += 1
    responses = metrics.snapshot().process.responses
    assert {name: count for name, count in responses.items() if count} == {status_class: 1}


class TickedEwma:
    """The original's: every 5 s the average moves towards the rate of that tick."""

    def __init__(self, minutes: int) -> None:
        self.alpha = 1 - math.exp(-5 / 60 / minutes)
        self.rate = -1.0

    def tick(self, events: int) -> None:
        rate = events / 5
        self.rate = rate if self.rate == -1.0 else self.rate + self.alpha * (rate - self.rate)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 1000)), min_size=1, max_size=20))
@settings(max_examples=100)
def test_a_meter_equals_the_ticked_one_however_seldom_it_is_read(readings):
    ticked = [TickedEwma(minutes) for minutes in (1, 5, 15)]
    meter, now, count = Meter(0.0), 0.0, 0
    for ticks, events_in_tick in readings:
        for ewma in ticked:
            for _ in range(ticks):
                ewma.tick(events_in_tick)
        now += 5.0 * ticks
        count += ticks * events_in_tick
        rates = meter.read(count, now)
        assert rates.mean == pytest.approx(count / now)
        assert rates.moving == pytest.approx([ewma.rate for ewma in ticked])


def test_a_meter_has_no_averages_before_the_first_tick():
    meter = Meter(100.0)
    assert meter.read(0, 100.0) == Rates()
    assert meter.read(8, 104.0) == Rates(2.0, None)
    assert meter.read(20, 105.0) == Rates(4.0, (4.0, 4.0, 4.0))


def test_reading_a_meter_twice_changes_nothing():
    meter = Meter(0.0)
    meter.read(10, 5.0)
    first = meter.read(500, 65.0)
    assert meter.read(500, 65.0) == first
    assert first.moving is not None
    assert first.moving[0] > first.moving[1] > first.moving[2]


def test_a_meter_with_no_events_falls_towards_zero():
    meter = Meter(0.0)
    meter.read(500, 5.0)
    rates = meter.read(500, 65.0)
    assert rates.moving == pytest.approx((100 * math.exp(-1), 100 * math.exp(-1 / 5), 100 * math.exp(-1 / 15)))


def test_rates_count_answers_from_when_an_application_was_first_named():
    clock = Clock()
    metrics = Metrics(clock)
    clock.now += 3600.0
    app = metrics.app("a")
    clock.now += 10.0
    for _ in range(15):
        app.answered(0.01)
    for _ in range(5):
        app.defaulted("overload", 0.01)
    app.errors += 7
    assert metrics.snapshot().apps["a"].throughput == Rates(2.0, (2.0, 2.0, 2.0))


def test_rates_of_frontends_add_and_none_is_nothing():
    clock = Clock()
    old = Metrics(clock, "frontend-0")
    old.model("m", "1").batch_done(40, 0.1)
    clock.now += 8.0
    young = Metrics(clock, "frontend-1")
    young.model("m", "1").batch_done(2, 0.1)
    clock.now += 2.0
    rates = merge([old.snapshot(), young.snapshot()]).models["m"]["1"].throughput
    assert rates == Rates(5.0, (4.0, 4.0, 4.0))
    clock.now += 10.0
    young.model("m", "1").batch_done(10, 0.1)
    both = merge([old.snapshot(), young.snapshot()])
    assert both.models["m"]["1"].throughput.mean == 3.0
    assert both.all_models.throughput.mean == 3.0
