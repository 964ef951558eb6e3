"""``clipper prometheus | grafana``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from clipper_admin.cli_commands import add_command
from clipper_admin.cli_terminal import Kind, Terminal
from clipper_admin.managers import docker_parts
from clipper_admin.prometheus import DEFAULT_INTERVAL, grafana_dashboard, prometheus_config


def add_to(app: typer.Typer) -> None:
    add_command(
        app, "prometheus", prometheus, "clipper prometheus > prometheus.yml", "clipper prometheus --interval 15"
    )
    add_command(app, "grafana", grafana, "clipper grafana > clipper.json")


def prometheus(
    terminal: Terminal,
    interval: Annotated[float, typer.Option(help="Seconds between two scrapes.")] = DEFAULT_INTERVAL,
) -> None:
    """Print a configuration of Prometheus for a running cluster: it follows deploys and scaling by itself.

    In Docker it is for a Prometheus on the cluster's network; the cluster has one of its own there.
    """
    address = terminal.running().get_admin_addr()
    if terminal.kind is Kind.DOCKER:
        address = f"{docker_parts.management_alias(terminal.cluster)}:{docker_parts.INNER_MANAGEMENT}"
    config = prometheus_config(address, interval_seconds=interval)
    terminal.show({"config": config}, config.rstrip("\n"))


def grafana(terminal: Terminal) -> None:
    """Print a dashboard for Grafana to import. It reads what Prometheus scrapes."""
    dashboard = grafana_dashboard()
    terminal.show(json.loads(dashboard), dashboard.rstrip("\n"))
