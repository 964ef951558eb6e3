"""How metrics look from outside: Prometheus text, OpenMetrics, or the original's JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, TypeVar

import msgspec
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from clipper.distribution import Distribution, Unit
from clipper.snapshot import AppSnapshot, ModelSnapshot, ProcessSnapshot, Rates, Snapshot

JSON: Final = "application/json"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0"

EDGES: Final[dict[Unit, tuple[float, ...]]] = {
    "seconds": tuple(0.00025 * 2**doubling for doubling in range(17)),
    "queries": tuple(float(1 << doubling) for doubling in range(13)),
}
"""The upper bounds of the buckets that Prometheus sees: 0.25 ms to 16 s, and 1 to 4096 queries."""

N = TypeVar("N", int, float)
Labels = tuple[str, ...]
Item = dict[str, dict[str, object]]
Line = tuple[str, str, dict[str, object]]


def render(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """The body and its content type for a request with this ``Accept`` header.

    JSON and OpenMetrics are for those who name them; everybody else gets the Prometheus text format 0.0.4.
    """
    if JSON in accept:
        return msgspec.json.format(msgspec.json.encode(to_json(snapshot)), indent=2), JSON
    encode, content_type = choose_encoder(OPEN_METRICS if "application/openmetrics-text" in accept else "")
    return encode(_Families(snapshot)), content_type


def to_prometheus(snapshot: Snapshot) -> bytes:
    """The Prometheus text format, version 0.0.4."""
    return render(snapshot, "")[0]


class _Families:
    """The metric families of a snapshot, as prometheus_client collects them."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from _of_apps(self._snapshot.apps)
        yield from _of_models(_by_version(self._snapshot))
        yield from _of_process(self._snapshot.process)


def _of_apps(apps: dict[str, AppSnapshot]) -> Iterator[Metric]:
    outcomes = {
        name: {"ok": a.ok, "default": sum(a.defaults.values()), "error": a.errors} for name, a in apps.items()
    }
    yield _counter("clipper_requests", "Queries answered, by what they got", ("app", "outcome"), _nested(outcomes))
    reasons = _nested({name: app.defaults for name, app in apps.items()})
    yield _counter("clipper_default_outputs", "Default outputs, by why", ("app", "reason"), reasons)
    missed = [((name,), app.defaults.get("deadline", 0)) for name, app in apps.items()]
    yield _counter("clipper_deadline_missed", "Queries whose deadline passed without an output", ("app",), missed)
    cancelled = [((name,), app.cancelled) for name, app in apps.items()]
    yield _counter("clipper_cancelled_queries", "Queries whose client left before the answer", ("app",), cancelled)
    feedback = _nested({name: app.feedback for name, app in apps.items()})
    yield _counter("clipper_feedback", "Feedback, by what became of it", ("app", "result"), feedback)
    weights = {name: next(iter(app.weights.values()), {}) for name, app in apps.items()}
    trust = _nested(weights)
    yield _gauge("clipper_policy_weight", "How far everybody's state trusts a model", ("app", "model"), trust)
    latencies = [((name,), app.latency) for name, app in apps.items()]
    yield _histogram("clipper_request_duration_seconds", "From a query's arrival to its answer", ("app",), latencies)


def _of_models(models: dict[Labels, ModelSnapshot]) -> Iterator[Metric]:
    counters: tuple[tuple[str, str, Callable[[ModelSnapshot], int]], ...] = (
        ("clipper_predictions", "Queries that came back from containers", lambda model: model.predictions),
        ("clipper_model_errors", "Queries that the model failed", lambda model: model.errors),
        ("clipper_redispatched_queries", "Queries sent again after a replica died", lambda model: model.redispatched),
        ("clipper_hedged_queries", "Queries given to a second replica as well", lambda model: model.hedged),
    )
    gauges: tuple[tuple[str, str, Callable[[ModelSnapshot], int]], ...] = (
        ("clipper_queue_depth", "Queries that wait for a replica", lambda model: model.queue_depth),
        ("clipper_inflight", "Queries sent to a replica and not answered", lambda model: model.in_flight),
        ("clipper_replica_up", "Connected replicas", lambda model: max(model.replicas.values(), default=0)),
    )
    histograms: tuple[tuple[str, str, Callable[[ModelSnapshot], Distribution]], ...] = (
        ("clipper_batch_size", "Queries in a batch", lambda model: model.batch_size),
        ("clipper_queue_wait_seconds", "From entering the queue to leaving it", lambda model: model.queue_wait),
        ("clipper_model_latency_seconds", "From sending a query's batch to its answer", lambda model: model.latency),
    )
    labels = ("model", "version")
    for name, documentation, number in counters:
        yield _counter(name, documentation, labels, [(key, number(model)) for key, model in models.items()])
    lookups = [
        ((*key, result), count)
        for key, model in models.items()
        for result, count in (("hit", model.hits), ("miss", model.misses))
    ]
    yield _counter("clipper_cache_lookups", "Look-ups in the prediction cache", (*labels, "result"), lookups)
    for name, documentation, number in gauges:
        yield _gauge(name, documentation, labels, [(key, number(model)) for key, model in models.items()])
    for name, documentation, values in histograms:
        yield _histogram(name, documentation, labels, [(key, values(model)) for key, model in models.items()])


def _of_process(process: ProcessSnapshot) -> Iterator[Metric]:
    responses = [((status,), count) for status, count in process.responses.items()]
    yield _counter("clipper_http_responses", "HTTP responses, by status class", ("status",), responses)
    dropped = [((), process.decisions_dropped)]
    yield _counter("clipper_decisions_dropped", "Decisions that the journal did not take in time", (), dropped)
    for name, documentation, value in (
        ("clipper_cache_bytes", "Size of the prediction caches", process.cache_bytes),
        ("clipper_cache_entries", "Outputs in the prediction caches", process.cache_entries),
        ("clipper_store_up", "1 if every frontend reaches the store", int(process.up > 0 and process.storeless == 0)),
        ("clipper_frontends_up", "Query frontends that these metrics are of", process.up),
        ("clipper_frontends_missing", "Query frontends that did not tell theirs in time", process.missing),
    ):
        yield _gauge(name, documentation, (), [((), value)])
    build = InfoMetricFamily("clipper_build", "The version of Clipper that serves")
    for version in sorted(process.versions):
        build.add_metric((), {"version": version})
    yield build


def _by_version(snapshot: Snapshot) -> dict[Labels, ModelSnapshot]:
    return {
        (name, version): model for name, versions in snapshot.models.items() for version, model in versions.items()
    }


def _nested(counts: dict[str, dict[str, N]]) -> list[tuple[Labels, N]]:
    return [((outer, inner), count) for outer, inners in counts.items() for inner, count in inners.items()]


def _counter(name: str, documentation: str, labels: Labels, samples: Iterable[tuple[Labels, int]]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, count in samples:
        family.add_metric(values, count)
    return family


def _gauge(name: str, documentation: str, labels: Labels, samples: Iterable[tuple[Labels, float]]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _histogram(
    name: str, documentation: str, labels: Labels, samples: Iterable[tuple[Labels, Distribution]]
) -> Metric:
    family = HistogramMetricFamily(name, documentation, labels=labels)
    for values, held in samples:
        edges = EDGES[held.unit]
        buckets = [(str(edge), float(count)) for edge, count in zip(edges, held.at_most(edges), strict=True)]
        family.add_metric(values, [*buckets, ("+Inf", float(held.count))], held.sum)
    return family


def to_json(snapshot: Snapshot) -> dict[str, list[Item]]:
    """The original's report, its names and shapes, but numbers are numbers and a ratio of nothing is None."""
    report: dict[str, list[Item]] = {}
    apps = (_app_report(f"app:{name}", app) for name, app in snapshot.apps.items())
    models = (_model_report(f"model:{':'.join(key)}", model) for key, model in _by_version(snapshot).items())
    for kind, name, item in chain(*apps, *models, _internal_report(snapshot.all_models, snapshot.process)):
        report.setdefault(kind, []).append({name: item})
    return report


def _app_report(prefix: str, app: AppSnapshot) -> Iterator[Line]:
    defaults = sum(app.defaults.values())
    yield "counters", f"{prefix}:num_predictions", {"count": app.ok + defaults}
    yield "ratio_counters", f"{prefix}:default_prediction_ratio", _ratio(defaults, app.ok + defaults)
    yield "meters", f"{prefix}:prediction_throughput", _meter(app.throughput)
    yield "histograms", f"{prefix}:prediction_latency", _statistics(app.latency)


def _model_report(prefix: str, model: ModelSnapshot) -> Iterator[Line]:
    yield "counters", f"{prefix}:num_predictions", {"count": model.predictions}
    yield "ratio_counters", f"{prefix}:cache_hit_ratio", _ratio(model.hits, model.hits + model.misses)
    yield "meters", f"{prefix}:prediction_throughput", _meter(model.throughput)
    yield "histograms", f"{prefix}:prediction_latency", _statistics(model.latency)
    yield "histograms", f"{prefix}:batch_size", _statistics(model.batch_size)


def _internal_report(models: ModelSnapshot, process: ProcessSnapshot) -> Iterator[Line]:
    lookups = models.hits + models.misses
    yield "counters", "internal:prediction_cache_lookups", {"count": lookups}
    yield "counters", "internal:aggregate_num_predictions", {"count": models.hits + models.predictions}
    yield "counters", "internal:frontends_missing", {"count": process.missing}
    yield "ratio_counters", "internal:prediction_cache_hit_ratio", _ratio(models.hits, lookups)
    yield "meters", "internal:aggregate_model_throughput", _meter(models.throughput)
    yield "histograms", "internal:rpc_request_queueing_delay", _statistics(models.queue_wait)


def _ratio(part: int, whole: int) -> dict[str, object]:
    return {"ratio": part / whole if whole else None}


def _meter(rates: Rates) -> dict[str, object]:
    one, five, fifteen = rates.moving or (-1.0, -1.0, -1.0)
    return {
        "unit": "events per second",
        "rate": rates.mean,
        "rate_1min": one,
        "rate_5min": five,
        "rate_15min": fifteen,
    }


def _statistics(held: Distribution) -> dict[str, object]:
    """Latencies are in microseconds, as the original tells them."""
    unit, scale = ("microseconds", 1e6) if held.unit == "seconds" else (held.unit, 1.0)
    return {
        "unit": unit,
        "size": held.count,
        "min": held.minimum * scale,
        "max": held.maximum * scale,
        "mean": held.mean * scale,
        "std_dev": held.std_dev * scale,
        "p50": held.percentile(0.50) * scale,
        "p95": held.percentile(0.95) * scale,
        "p99": held.percentile(0.99) * scale,
    }
