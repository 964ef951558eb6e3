"""What Prometheus and Grafana are told, as texts. ``tests/integration`` has a real Prometheus read them."""

import json

import pytest

from clipper_admin.exceptions import ClipperException
from clipper_admin.prometheus import grafana_dashboard, prometheus_config


def test_the_configuration_names_the_cluster():
    text = prometheus_config("10.0.0.1:1338", interval_seconds=15, job_name='my "own"')
    assert '- url: "http://10.0.0.1:1338/admin/metrics_targets"\n' in text
    assert text.count("_interval: 15000ms\n") == 2
    assert r'job_name: "my \"own\""' in text


@pytest.mark.parametrize("address", ["", "h", "h:port", "http://h:1", "h:1\nx: y", "h:1/"])
def test_what_is_no_address(address):
    with pytest.raises(ClipperException, match="is not the address of a management frontend: give host:port"):
        prometheus_config(address)


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf")])
def test_what_is_no_interval(interval):
    with pytest.raises(ClipperException, match=r"An interval of .* can't be"):
        prometheus_config("[::1]:1338", interval_seconds=interval)


def test_panels_do_not_overlap_and_have_ids_of_their_own():
    panels = json.loads(grafana_dashboard())["panels"]
    assert len({each["id"] for each in panels}) == len(panels)
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_commands(clipper, answered, manager):
    shown = clipper("prometheus", "--interval", "1").stdout
    assert shown == prometheus_config(manager.addr, interval_seconds=1)
    assert answered("prometheus")["config"] == prometheus_config(manager.addr)
    assert clipper("grafana").stdout == grafana_dashboard()
    assert answered("grafana") == json.loads(grafana_dashboard())
    assert "can't be" in clipper("prometheus", "--interval", "0", exit_code=1).stderr
