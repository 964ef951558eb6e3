"""What Prometheus and Grafana need to know of a cluster, as the texts that they read."""

from __future__ import annotations

import json
import math
import re
from importlib.resources import files
from typing import Final

from clipper_admin.exceptions import ClipperException

DEFAULT_INTERVAL: Final = 5.0

_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
_CONFIG: Final = """\
# Prometheus for a Clipper cluster: prometheus --config.file=FILE
global:
  scrape_interval: {interval}
scrape_configs:
  - job_name: {job}
    # A container tells its own model, version and replica.
    honor_labels: true
    # The cluster tells where its metrics are: query frontends and containers, as they come and go.
    http_sd_configs:
      - url: {url}
        refresh_interval: {interval}
"""


def prometheus_config(
    admin_address: str, *, interval_seconds: float = DEFAULT_INTERVAL, job_name: str = "clipper"
) -> str:
    """The configuration of a Prometheus that follows a cluster by itself, in YAML.

    Args:
        admin_address: ``host:port`` of the management frontend, as Prometheus reaches it.
        interval_seconds: between two scrapes, and two looks for what there is to scrape; 0.001 or more.
        job_name: under which it is listed.

    Raises:
        ClipperException: the address or the interval can't be one.
    """
    if not _ADDRESS.fullmatch(admin_address):
        raise ClipperException(f"{admin_address!r} is not the address of a management frontend: give host:port")
    if not (math.isfinite(interval_seconds) and interval_seconds >= 0.001):
        raise ClipperException(f"An interval of {interval_seconds} s can't be: give seconds, 0.001 or more")
    url = f"http://{admin_address}/admin/metrics_targets"
    # A text in JSON's quotes is one in YAML, too.
    return _CONFIG.format(
        interval=f"{round(interval_seconds * 1000)}ms", job=json.dumps(job_name), url=json.dumps(url)
    )


def grafana_dashboard() -> str:
    """A dashboard of a cluster, as JSON that Grafana imports; its data come from a Prometheus."""
    return files("clipper_admin").joinpath("dashboards", "clipper.json").read_text(encoding="utf-8")
