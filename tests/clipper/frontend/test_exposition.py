from __future__ import annotations

import json
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from clipper.frontend.exposition import render, to_json, to_prometheus
from clipper.metrics import Metrics
from clipper.snapshot import ProcessSnapshot, Snapshot, merge

OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
STATISTICS = ["unit", "size", "min", "max", "mean", "std_dev", "p50", "p95", "p99"]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def busy(frontend: str = "frontend-0") -> tuple[Metrics, Clock]:
    clock = Clock()
    metrics = Metrics(clock, frontend, "1.2.3")
    app = metrics.app("hello.world")
    for seconds in (0.00025, 0.001, 0.0011, 20.0):
        app.answered(seconds)
    app.defaulted("deadline", 0.1)
    app.errors += 2
    model = metrics.model("sum.model", "1.0")
    model.batch_done(3, 0.002)
    model.batch_done(1, 0.004)
    model.waited([0.0005] * 4)
    model.hits, model.misses, model.errors, model.redispatched = 1, 3, 5, 6
    model.hedged, app.cancelled = 10, 11
    model.queue_depth, model.in_flight, model.replicas = (lambda: 7), (lambda: 8), (lambda: 2)
    metrics.process.statuses[200] += 1
    metrics.process.cache_bytes, metrics.process.cache_entries = (lambda: 100), (lambda: 9)
    metrics.process.store_up = lambda: 1
    metrics.process.decisions_dropped = lambda: 7
    return metrics, clock


def samples(text: str, parse=parse_text) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by sample name and label values, in the order of the labels' names."""
    found: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for family in parse(text):
        for sample in family.samples:
            key = tuple(value for _, value in sorted(sample.labels.items()))
            assert key not in found[sample.name], f"{sample} twice"
            found[sample.name][key] = sample.value
    return found


def test_prometheus_text_tells_every_metric():
    found = samples(to_prometheus(busy()[0].snapshot()).decode())
    app, model = ("hello.world",), ("sum.model", "1.0")
    assert found["clipper_requests_total"] == {(*app, "ok"): 4, (*app, "default"): 1, (*app, "error"): 2}
    assert found["clipper_default_outputs_total"][(*app, "deadline")] == 1
    assert sum(found["clipper_default_outputs_total"].values()) == 1
    assert found["clipper_deadline_missed_total"] == {app: 1}
    assert found["clipper_request_duration_seconds_count"] == {app: 5}
    assert found["clipper_request_duration_seconds_sum"][app] == pytest.approx(20.10235)
    assert found["clipper_predictions_total"] == {model: 4}
    assert found["clipper_model_errors_total"] == {model: 5}
    assert found["clipper_redispatched_queries_total"] == {model: 6}
    assert found["clipper_hedged_queries_total"] == {model: 10}
    assert found["clipper_cancelled_queries_total"] == {app: 11}
    assert found["clipper_cache_lookups_total"] == {("sum.model", "hit", "1.0"): 1, ("sum.model", "miss", "1.0"): 3}
    assert found["clipper_queue_depth"] == {model: 7}
    assert found["clipper_inflight"] == {model: 8}
    assert found["clipper_replica_up"] == {model: 2}
    assert found["clipper_batch_size_count"] == {model: 2}
    assert found["clipper_batch_size_sum"] == {model: 4}
    assert found["clipper_model_latency_seconds_count"] == {model: 4}
    assert found["clipper_queue_wait_seconds_count"] == {model: 4}
    assert found["clipper_http_responses_total"][("2xx",)] == 1
    assert found["clipper_cache_bytes"] == {(): 100}
    assert found["clipper_cache_entries"] == {(): 9}
    assert found["clipper_store_up"] == {(): 1}
    assert found["clipper_decisions_dropped_total"] == {(): 7}
    assert found["clipper_frontends_up"] == {(): 1}
    assert found["clipper_frontends_missing"] == {(): 0}
    assert found["clipper_build_info"] == {("1.2.3",): 1}


def test_bucket_edges_include_their_own_value():
    found = samples(to_prometheus(busy()[0].snapshot()).decode())
    latency = {key[1]: value for key, value in found["clipper_request_duration_seconds_bucket"].items()}
    assert (latency["0.00025"], latency["0.0005"], latency["0.001"], latency["0.002"]) == (1, 1, 2, 3)
    assert (latency["0.128"], latency["16.384"], latency["+Inf"]) == (4, 4, 5)
    assert len(latency) == 18
    sizes = {key[0]: value for key, value in found["clipper_batch_size_bucket"].items()}
    assert (sizes["1.0"], sizes["2.0"], sizes["4.0"], sizes["4096.0"]) == (1, 1, 2, 2)
    assert len(sizes) == 14


@given(st.lists(st.floats(0.0, 100.0), max_size=60), st.lists(st.integers(1, 9000), max_size=60))
@settings(max_examples=25)
def test_buckets_hold_exactly_what_is_at_most_their_edge(latencies, sizes):
    metrics = Metrics(Clock())
    for seconds in latencies:
        metrics.app("a").answered(seconds)
    for size in sizes:
        metrics.model("m", "1").batch_done(size, 0.1)
    for family in parse_text(to_prometheus(metrics.snapshot()).decode()):
        values = {"clipper_request_duration_seconds": latencies, "clipper_batch_size": sizes}.get(family.name)
        for sample in family.samples:
            if values is not None and sample.name.endswith("_bucket"):
                assert sample.value == sum(value <= float(sample.labels["le"]) for value in values)


def test_open_metrics_is_for_those_who_accept_it_and_tells_the_same():
    snapshot = busy()[0].snapshot()
    body, content_type = render(snapshot, OPEN_METRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert samples(body.decode(), parse_open_metrics) == samples(to_prometheus(snapshot).decode())


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "text/html,*/*;q=0.1", ";;,=", "text/plain;version=x"])
def test_everybody_else_gets_the_text_format(accept):
    snapshot = busy()[0].snapshot()
    assert render(snapshot, accept) == (to_prometheus(snapshot), "text/plain; version=0.0.4; charset=utf-8")


def test_a_nonsense_version_of_open_metrics_is_no_error():
    assert render(Snapshot(), "application/openmetrics-text;version=x")[0].endswith(b"# EOF\n")


def test_hostile_label_values_are_escaped():
    metrics = Metrics(Clock())
    name = 'quo"te\\ new\nline ü'
    metrics.app(name).answered(0.1)
    found = samples(to_prometheus(metrics.snapshot()).decode())
    assert found["clipper_requests_total"][(name, "ok")] == 1


def test_totals_of_two_frontends_agree_with_the_sum():
    found = samples(
        to_prometheus(merge([busy("frontend-0")[0].snapshot(), busy("frontend-1")[0].snapshot()])).decode()
    )
    assert found["clipper_requests_total"][("hello.world", "ok")] == 8
    assert found["clipper_request_duration_seconds_bucket"][("hello.world", "+Inf")] == 10
    assert found["clipper_queue_depth"] == {("sum.model", "1.0"): 14}
    assert found["clipper_replica_up"] == {("sum.model", "1.0"): 2}
    assert found["clipper_frontends_up"] == {(): 2}
    assert found["clipper_build_info"] == {("1.2.3",): 1}


def test_the_store_is_up_only_if_every_frontend_reaches_it():
    storeless = busy()[0]
    storeless.process.store_up = lambda: 0
    merged = merge([busy()[0].snapshot(), storeless.snapshot(), Snapshot(process=ProcessSnapshot(missing=1))])
    found = samples(to_prometheus(merged).decode())
    assert found["clipper_store_up"] == {(): 0}
    assert found["clipper_decisions_dropped_total"] == {(): 14}
    assert found["clipper_frontends_missing"] == {(): 1}


def flat(report: dict[str, list[dict[str, dict[str, object]]]], kind: str) -> dict[str, dict[str, object]]:
    assert all(len(item) == 1 for item in report[kind])
    return {name: fields for item in report[kind] for name, fields in item.items()}


def test_json_has_the_names_and_shapes_of_the_original():
    metrics, clock = busy()
    clock.now = 2.0
    body, content_type = render(metrics.snapshot(), "application/json")
    report = json.loads(body)
    assert content_type == "application/json"
    assert list(report) == ["counters", "ratio_counters", "meters", "histograms"]
    assert flat(report, "counters") == {
        "app:hello.world:num_predictions": {"count": 5},
        "model:sum.model:1.0:num_predictions": {"count": 4},
        "internal:prediction_cache_lookups": {"count": 4},
        "internal:aggregate_num_predictions": {"count": 5},
        "internal:frontends_missing": {"count": 0},
    }
    assert flat(report, "ratio_counters") == {
        "app:hello.world:default_prediction_ratio": {"ratio": 0.2},
        "model:sum.model:1.0:cache_hit_ratio": {"ratio": 0.25},
        "internal:prediction_cache_hit_ratio": {"ratio": 0.25},
    }
    meter = {"unit": "events per second", "rate": 2.5, "rate_1min": -1, "rate_5min": -1, "rate_15min": -1}
    assert flat(report, "meters") == {
        "app:hello.world:prediction_throughput": meter,
        "model:sum.model:1.0:prediction_throughput": {**meter, "rate": 2.0},
        "internal:aggregate_model_throughput": {**meter, "rate": 2.0},
    }
    histograms = flat(report, "histograms")
    assert {name: fields["unit"] for name, fields in histograms.items()} == {
        "app:hello.world:prediction_latency": "microseconds",
        "model:sum.model:1.0:prediction_latency": "microseconds",
        "model:sum.model:1.0:batch_size": "queries",
        "internal:rpc_request_queueing_delay": "microseconds",
    }
    assert all(list(fields) == STATISTICS for fields in histograms.values())


def test_json_latencies_are_in_microseconds_and_sizes_in_queries():
    histograms = flat(to_json(busy()[0].snapshot()), "histograms")
    assert histograms["model:sum.model:1.0:batch_size"] == {
        "unit": "queries", "size": 2, "min": 1, "max": 3, "mean": 2, "std_dev": 1, "p50": 2, "p95": 3, "p99": 3,
    }  # fmt: skip
    latency = histograms["model:sum.model:1.0:prediction_latency"]
    assert (latency["size"], latency["min"], latency["max"]) == (4, 2000, 4000)
    assert (latency["mean"], latency["p50"]) == pytest.approx((2500, 2000), rel=0.05)


def test_moving_averages_are_told_after_the_first_tick():
    metrics, clock = busy()
    clock.now = 5.0
    meter = flat(to_json(metrics.snapshot()), "meters")["app:hello.world:prediction_throughput"]
    assert (meter["rate_1min"], meter["rate_5min"], meter["rate_15min"]) == (1.0, 1.0, 1.0)


def test_ratios_of_nothing_are_null_and_empty_histograms_all_zeros():
    metrics = Metrics(Clock())
    metrics.app("idle")
    report = json.loads(render(metrics.snapshot(), "application/json")[0])
    assert flat(report, "ratio_counters")["app:idle:default_prediction_ratio"] == {"ratio": None}
    latency = flat(report, "histograms")["app:idle:prediction_latency"]
    assert latency == {**dict.fromkeys(STATISTICS, 0), "unit": "microseconds"}


def test_an_empty_snapshot_can_be_told():
    assert samples(to_prometheus(Snapshot()).decode())["clipper_frontends_up"] == {(): 0}
    assert flat(to_json(Snapshot()), "counters")["internal:prediction_cache_lookups"] == {"count": 0}
