"""What models add and report, and the text that Prometheus reads."""

import math
import threading
import tracemalloc

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clipper.container.batch_metrics import BatchMetrics
from clipper.container.metrics import DEFAULT_BUCKETS, MOST_METRICS, MetricError, Registry


@pytest.fixture
def registry():
    return Registry()


def samples(text):
    """By name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_each_type_is_shown_as_prometheus_reads_it(registry):
    registry.labels = {"model": 'a"b\\c', "version": "1"}
    registry.add("asked", "Counter", "How often,\nand why")
    registry.add("level", "Gauge", "")
    registry.add("size", "Summary", "")
    registry.add("seconds", "Histogram", "", [0.1, 1, math.inf])
    for name, value in (("asked", 2), ("asked", 0.5), ("level", 3), ("level", -1.5), ("size", 4), ("size", 6)):
        registry.report(name, value)
    for value in (0.05, 0.1, 0.2, 7):
        registry.report("seconds", value)

    own = (("model", 'a"b\\c'), ("version", "1"))
    assert samples(registry.render()) == {
        ("asked_total", *own): 2.5,
        ("level", *own): -1.5,
        ("size_count", *own): 2,
        ("size_sum", *own): 10,
        ("seconds_bucket", ("le", "0.1"), *own): 2,
        ("seconds_bucket", ("le", "1"), *own): 3,
        ("seconds_bucket", ("le", "+Inf"), *own): 4,
        ("seconds_count", *own): 4,
        ("seconds_sum", *own): 7.35,
    }
    assert "# HELP asked_total How often,\\nand why\n# TYPE asked_total counter\n" in registry.render()


def test_buckets_are_those_of_the_original_by_default(registry):
    registry.add("millis", "Histogram", "")
    edges = [dict(key[1:])["le"] for key in samples(registry.render()) if key[0] == "millis_bucket"]
    assert [float(each) for each in edges] == list(DEFAULT_BUCKETS)


def test_adding_a_name_again_changes_nothing(registry):
    registry.add("asked_total", "Counter", "first")
    registry.report("asked_total", 1)
    before = registry.render()
    registry.add("asked_total", "Gauge", "second")
    registry.add("asked_total", "nothing", "third")
    assert registry.render() == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("a", "Timer", ""), r"Metric type needs to be one of \['Counter', .*\]: a is to be 'Timer'"),
        (("a", ["Gauge"], ""), "Metric type needs to be one of"),
        (("a-b", "Gauge", ""), "'a-b' can't be the name of a metric: take letters"),
        (("1a", "Gauge", ""), "'1a' can't be the name"),
        (("", "Gauge", ""), "'' can't be the name"),
        ((3, "Gauge", ""), "3 can't be the name"),
        ((["a"], "Gauge", ""), r"\['a'\] can't be the name"),
        (("a" * 201, "Gauge", ""), "can't be the name .* 200 characters at most"),
        (("clipper_mc_batch_size", "Gauge", ""), "clipper_ is Clipper's own"),
        (("a", "Histogram", "", [2, 1]), r"the buckets of a are \[2, 1\]: give upper bounds, each above"),
        (("a", "Histogram", "", []), "give upper bounds"),
        (("a", "Histogram", "", [1, math.nan]), "give upper bounds"),
        (("a", "Histogram", "", ["x"]), "give a list of numbers"),
        (("a", "Histogram", "", 5), "give a list of numbers"),
        (("a", "Histogram", "", range(201)), "200 are the most"),
    ],
)
def test_what_can_not_be_added(registry, arguments, complaint):
    with pytest.raises(MetricError, match=complaint):
        registry.add(*arguments)
    assert registry.render() == ""


def test_names_that_would_be_shown_alike_are_refused(registry):
    registry.add("asked", "Counter", "")
    registry.add("size", "Histogram", "")
    for name, kind in (("asked_total", "Gauge"), ("size_sum", "Counter"), ("size_count", "Gauge")):
        if name == "size_sum":
            registry.add(name, kind, "")  # is size_sum_total
            continue
        with pytest.raises(MetricError, match=f"metric {name} would be shown as {name}, and another one is"):
            registry.add(name, kind, "")


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("nothing", 1, "nothing has not been added. Add it with add_metric"),
        ("counter", -1, "counter was reported as -1.0: a Counter only grows"),
        ("counter", math.inf, "counter was reported as inf"),
        ("counter", "many", "counter was reported as 'many', which is no number"),
        ("histogram", math.nan, "histogram was reported as nan: it can't be added up"),
        ("summary", None, "summary was reported as None, which is no number"),
    ],
)
def test_what_can_not_be_reported(registry, name, value, complaint):
    for kind in ("Counter", "Histogram", "Summary"):
        registry.add(kind.lower(), kind, "")
    before = registry.render()
    with pytest.raises(MetricError, match=complaint):
        registry.report(name, value)
    assert registry.render() == before


def test_a_gauge_takes_any_number(registry):
    registry.add("level", "Gauge", "")
    for value, shown in ((math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (1e300, "1e+300"), (True, "1")):
        registry.report("level", value)
        assert f"\nlevel {shown}\n" in registry.render()


def test_metrics_are_bounded_in_number(registry):
    for number in range(MOST_METRICS):
        registry.add(f"a{number}", "Gauge", "")
    with pytest.raises(MetricError, match="metric more is one too many"):
        registry.add("more", "Gauge", "")


@pytest.mark.heavy
def test_a_million_reports_take_no_memory_and_none_is_lost(registry):
    registry.add("size", "Histogram", "", [10, 100])
    registry.add("asked", "Counter", "")

    def report():
        for value in range(125_000):
            registry.report("size", value % 128)
            registry.report("asked", 1)

    tracemalloc.start()
    threads = [threading.Thread(target=report) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100_000
    found = samples(registry.render())
    assert found["asked_total",] == found["size_count",] == 500_000


def test_batches():
    metrics = BatchMetrics()
    metrics.record(3, 0.0001, 0.00002, 0.3, 0.3002)
    metrics.record(1, 0.0001, 0.00002, 100, 100)
    metrics.errors += 2
    found = samples(metrics.render({"model": "m"}))

    def value(name, **labels):
        return found[(f"clipper_mc_{name}", *sorted({"model": "m", **labels}.items()))]

    assert (value("batches_total"), value("predictions_total"), value("errors_total")) == (2, 4, 2)
    assert (value("batch_size_bucket", le="2"), value("batch_size_bucket", le="4")) == (1, 2)
    assert value("handle_seconds_count") == 2
    assert value("handle_seconds_bucket", le="10.24") == 1
    assert value("receive_seconds_sum") == pytest.approx(0.0002)
