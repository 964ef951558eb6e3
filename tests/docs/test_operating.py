"""docs/operating.md: numbers, names and files are those of the code and of a running cluster."""

import importlib
import os
import re
import signal
import tempfile
import time

import pytest
import requests

from clipper.config import Config
from clipper.container.batch_metrics import BatchMetrics
from clipper.container.metrics import REGISTRY
from clipper.frontend.exposition import to_prometheus
from clipper.metrics import Metrics
from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as python_deployer
from tests.documents import blocks, read, section

PAGE = read("docs/operating.md")


def rows(title):
    """The cells of the table rows below a heading, without the table's head."""
    lines = [line for line in section(PAGE, title).splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def number(text):
    return float(re.search(r"\d[\d,.]*", text)[0].replace(",", ""))


def value_of(path):
    """``package.module.Name().attribute // 2`` -> its value."""
    parts = path.split(".")
    for count in range(len(parts) - 1, 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        return eval(".".join(parts[count:]), vars(module))
    raise AssertionError(path)


@pytest.mark.parametrize("row", rows("Limits"), ids=lambda row: row[0])
def test_limits(row):
    _, limit, place = row
    assert number(limit) == value_of(place.strip("`"))


def test_limits_that_the_text_mentions():
    places = {place.strip("`").rpartition(".")[2]: number(limit) for _, limit, place in rows("Limits")}
    text = " ".join(PAGE.split())
    assert f"rotated at {places['LOG_BYTES']:,.0f} bytes and {places['LOG_BACKUPS']:.0f} older parts" in text
    assert f"not ended {places['STOP_SECONDS']:.0f} seconds after SIGTERM" in text
    assert f"ends, within {places['DRAIN_TIMEOUT']:.0f} seconds" in text
    assert f"begun for up to {Config().drain_timeout:.0f} seconds" in text
    assert places["MAX_TRIES"] == 3
    assert "with three replicas when they died" in text


def test_settings():
    for variable, default, _ in rows("Settings of the servers"):
        value = getattr(Config(), variable.strip("`").removeprefix("CLIPPER_").lower())
        assert value == (default if isinstance(value, str) else number(default))


def test_every_metric_is_listed():
    metrics = Metrics(lambda: 0.0)
    metrics.app("a")
    metrics.model("m", "1")
    shown = dict(re.findall(r"^# TYPE (\w+) (\w+)$", to_prometheus(metrics.snapshot()).decode(), re.MULTILINE))
    listed = {name.strip("`"): "gauge" if kind == "info" else kind for name, kind, _ in rows("Health and metrics")}
    assert listed == shown


def test_every_metric_of_a_container_is_listed():
    shown = re.findall(r"^# TYPE (\w+) (\w+)$", BatchMetrics().render({}), re.MULTILINE)
    assert [(name.strip("`"), kind) for name, kind, _ in rows("Metrics of model containers")] == shown


def test_a_model_adds_metrics_as_shown():
    (shown,) = blocks(section(PAGE, "Metrics of model containers"))
    names = {}
    exec(shown.text, names)
    assert names["predict"](["a b", "c"]) == ["0", "0"]
    assert "words_sum 3\n" in REGISTRY.render()


@pytest.fixture
def cluster(monkeypatch):
    """A running one with a model, whose servers were given a setting in the environment; its path is short."""

    def lengths(xs):
        return [len(x) for x in xs]

    lengths.__module__ = "__main__"  # by value, as in a session
    monkeypatch.setenv("CLIPPER_BODY_LIMIT", "1000")
    with tempfile.TemporaryDirectory() as home:
        clipper_conn = ClipperConnection(LocalContainerManager("c", 0, 0, 0, home=home))
        clipper_conn.start_clipper(num_frontend_replicas=2)
        try:
            python_deployer.create_endpoint(clipper_conn, "lengths", "doubles", lengths, "-1")
            yield clipper_conn
        finally:
            clipper_conn.stop_all(graceful=False)


@pytest.mark.cluster
def test_a_running_cluster_is_as_described(cluster):
    (files,) = blocks(section(PAGE, "Files"))
    names = {"NAME": "c", "MODEL": "lengths", "VERSION": "1"}
    for line in files.text.splitlines():
        path = re.sub("NAME|MODEL|VERSION", lambda found: names[found[0]], line.split()[0])
        found = cluster.cm.home / path
        if path != "environments/":  # is made with the first one
            assert found.is_dir() if path.endswith("/") else found.is_file(), path
    assert (cluster.cm.home / "clusters" / "c").stat().st_mode & 0o077 == 0
    running = [each.program for each in cluster.cm.process_table()]
    assert running == ["lengths_1-0", "management-frontend", "query-frontend-0", "query-frontend-1"]
    with requests.Session() as session:
        session.trust_env = False
        url = f"http://{cluster.get_query_addr()}/lengths/predict"
        refused = session.post(url, data=b" " * 2000, timeout=10)
        assert refused.status_code == 413
        assert "CLIPPER_BODY_LIMIT" in refused.json()["cause"]
    (container, *_) = cluster.cm.process_table()
    os.kill(container.pid, signal.SIGUSR1)
    wait_for(cluster.cm.log_path("lengths_1-0"), "most recent call first")


def wait_for(log, text):
    give_up = time.monotonic() + 10
    while text not in log.read_text():
        assert time.monotonic() < give_up, f"{log} does not show {text!r}"
        time.sleep(0.02)
