"""A real Prometheus, configured by ``clipper prometheus``, follows a cluster; the dashboard's queries find data."""

import re

import pytest

from clipper_admin.deployers.python import deploy_python_closure
from clipper_admin.prometheus import grafana_dashboard, prometheus_config
from tests.integration.load import Load
from tests.integration.prometheus import PROGRAM, Prometheus, expressions
from tests.integration.rest import ask, post, send

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed: apt-get install prometheus"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def prometheus(clipper, tmp_path_factory):
    config = prometheus_config(clipper.cm.get_admin_addr(), interval_seconds=1)
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), config)
    yield running
    running.close()


@pytest.fixture(scope="module")
def clipper(start):
    """Two frontends on one port, which are one target."""
    return start(num_frontend_replicas=2)


def echo():
    def echo(xs):
        import clipper_admin.metrics as metrics

        metrics.add_metric("first_elements", "Histogram", "The first of each input", buckets=[10, 20, 40])
        for x in xs:
            metrics.report_metric("first_elements", x[0] % 20)
        return [str(x[0]) for x in xs]

    echo.__module__ = "__main__"
    return echo


def failing():
    def failing(xs):
        raise ValueError("never")

    failing.__module__ = "__main__"
    return failing


@pytest.mark.heavy
def test_deploys_scaling_and_metrics_of_ones_own_are_seen(clipper, prometheus, serve, query_addr, unique):
    containers = f'up{{job="clipper-containers",model="{unique}"}}'
    prometheus.await_values('up{job="clipper-frontends",frontend="frontend-0,frontend-1"}', 1)
    assert prometheus.ask(containers) == []
    serve(echo())
    prometheus.await_values(containers, 1)

    clipper.set_num_replicas(unique, 3)
    prometheus.await_values(containers, 1, 1, 1)
    assert {labels["replica"] for labels, _ in prometheus.ask(containers)} == {"0", "1", "2"}

    for number in range(20):
        assert ask(query_addr, unique, [float(number)])["output"] == number
    prometheus.await_values(f'clipper_predictions_total{{model="{unique}",version="1"}}', 20)
    prometheus.await_values(f'sum(clipper_mc_predictions_total{{model="{unique}"}})', 20)
    prometheus.await_values(f'sum(first_elements_count{{model="{unique}",version="1"}})', 20)
    by_bucket = f'sum by (le) (first_elements_bucket{{model="{unique}"}})'
    assert {labels["le"]: value for labels, value in prometheus.ask(by_bucket)} == {
        "10": 11,
        "20": 20,
        "40": 20,
        "+Inf": 20,
    }
    ((_, median),) = prometheus.ask(f"histogram_quantile(0.5, {by_bucket})")
    assert median == pytest.approx(10 / 11 * 10)

    clipper.set_num_replicas(unique, 1)
    prometheus.await_values(containers, 1)
    clipper.unlink_model_from_app(unique, unique)
    clipper.stop_models(unique)
    prometheus.await_values(containers)


@pytest.mark.heavy
def test_every_query_of_the_dashboard_finds_data(clipper, prometheus, query_addr, unique):
    clipper.register_application(unique, "doubles", "-1", 10_000_000, "exp3", None)
    for name, function in (("good", echo()), ("bad", failing())):
        deploy_python_closure(clipper, name, 1, "doubles", function)
        clipper.link_model_to_app(unique, name)
    answer = ask(query_addr, unique, [1.0])
    told = post(query_addr, f"/{unique}/update", {"query_id": answer["query_id"], "label": 1.0})
    assert told.status == 200, told

    def ask_twice():
        """Look-ups in the cache that hit; default outputs, of the model that fails."""
        for _ in range(2):
            ask(query_addr, unique, [3.0])

    missing = dict.fromkeys(query for _, query in expressions(grafana_dashboard()))
    with Load(query_addr, unique, clients=2):
        for query in missing:
            ask_twice()
            prometheus.await_data(query)


@pytest.mark.heavy
def test_every_name_of_the_dashboard_is_served(clipper, prometheus, serve, query_addr):
    ask(query_addr, serve(echo()), [1.0])
    targets = send(clipper.cm.get_admin_addr(), "GET", "/admin/metrics_targets").json()
    pages = "".join(send(each["targets"][0], "GET", "/metrics").body.decode() for each in targets)
    served = set(re.findall(r"^# TYPE (\w+)", pages, re.MULTILINE))
    for title, query in expressions(grafana_dashboard()):
        for name in re.findall(r"clipper_\w+", query):
            assert {name, re.sub(r"_(bucket|sum|count)$", "", name)} & served, (title, name)
