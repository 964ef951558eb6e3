"""The containers of a cluster in Docker, as values: how each is called, labelled and run."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from clipper_admin.managers.programs import ReplicaId
from clipper_admin.managers.settings import ServerSettings

CLUSTER: Final = "ai.clipper.container.label"
MODEL: Final = "ai.clipper.model_container.label"
QUERY_FRONTEND: Final = "ai.clipper.query_frontend.label"
MANAGEMENT_FRONTEND: Final = "ai.clipper.management_frontend.label"
REDIS_PORT: Final = "ai.clipper.redis.port"
MANAGEMENT_PORT: Final = "ai.clipper.management.port"
QUERY_PORT: Final = "ai.clipper.query_frontend.query.port"
RPC_PORT: Final = "ai.clipper.query_frontend.rpc.port"
METRIC_PORT: Final = "ai.clipper.metric.port"
FLUENTD_PORT: Final = "ai.clipper.fluentd.port"
"""As the original has them; those below are ours."""
FRONTEND: Final = "ai.clipper.query_frontend.name"
REPLICA: Final = "ai.clipper.model_container.replica"
GPUS: Final = "ai.clipper.model.gpus"
NETWORK: Final = "ai.clipper.network"
SETTINGS: Final = "ai.clipper.settings"
"""As JSON, what a start that takes the cluster up again is to know: ``remembered``."""

EXTRA: Final = "ai.clipper.extra"
"""As JSON, what the user gives every container besides."""

ANOTHER: Final = "name another"

INNER_QUERY: Final = 1337
INNER_MANAGEMENT: Final = 1338
INNER_RPC: Final = 7000
INNER_METRICS: Final = 1390
INNER_REDIS: Final = 6379
INNER_PROMETHEUS: Final = 9090
INNER_FLUENTD: Final = 24224


@dataclass(frozen=True, slots=True)
class Part:
    """One container to be started.

    ``ports``: inside -> on the host. ``volumes``: name -> path inside. ``aliases``: further names on the network.
    ``files``: path inside -> text, put there before it starts. ``gpu``: the one device it sees.
    ``remedy``: what else to do than to get the image, if there is no such one.
    ``only_local``: its ports are for the engine's machine alone, wherever those of others are published.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    gpu: str | None = None
    only_local: bool = False
    remedy: str = ANOTHER


@dataclass(frozen=True, slots=True)
class Servers:
    """What the servers of a cluster have in common. ``store``: their ``--store``. ``log``: its level and format."""

    cluster: str
    store: str
    settings: ServerSettings
    log: tuple[str, str]


def some_name(stem: str) -> str:
    """As the original: several clusters share the engine's names."""
    return f"{stem}-{random.randrange(100_000, 1_000_000)}"


def store_address(host: str, port: int, cluster: str) -> str:
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host  # IPv6
    return f"redis://{host}:{port}/0?cluster={quote(cluster)}"


def frontends_alias(cluster: str) -> str:
    """The name that means every query frontend of a cluster."""
    return f"query-frontend.{cluster}"


def management_alias(cluster: str) -> str:
    """The name of the management frontend on the cluster's network."""
    return f"management-frontend.{cluster}"


def volume_name(cluster: str) -> str:
    return f"clipper-{cluster}-redis"


def redis(cluster: str, image: str, port: int) -> Part:
    """With a file to which every write is appended: what was acknowledged is there after a crash."""
    return Part(
        some_name("redis"),
        image,
        {CLUSTER: cluster, REDIS_PORT: str(port)},
        command=("redis-server", "--appendonly", "yes", "--appendfsync", "always", "--protected-mode", "no"),
        ports={INNER_REDIS: port},
        only_local=True,  # it asks nobody for a password
        volumes={volume_name(cluster): "/data"},
        remedy="name another with redis_image= or CLIPPER_REDIS_IMAGE",
    )


def management(servers: Servers, image: str, port: int, remembered: str) -> Part:
    labels = {CLUSTER: servers.cluster, MANAGEMENT_FRONTEND: "", MANAGEMENT_PORT: str(port), SETTINGS: remembered}
    return Part(
        some_name("mgmt_frontend"),
        image,
        labels,
        command=(
            "management",
            f"--store={servers.store}",
            "--host=0.0.0.0",
            f"--management-port={INNER_MANAGEMENT}",
            *_common(servers),
        ),
        ports={INNER_MANAGEMENT: port},
        aliases=(management_alias(servers.cluster),),
    )


def query_frontend(servers: Servers, image: str, index: int, port: int, rpc_port: int) -> Part:
    name, frontend = some_name("query_frontend"), f"frontend-{index}"
    return Part(
        name,
        image,
        {
            CLUSTER: servers.cluster,
            QUERY_FRONTEND: "",
            FRONTEND: frontend,
            QUERY_PORT: str(port),
            RPC_PORT: str(rpc_port),
        },
        command=(
            "query",
            f"--store={servers.store}",
            "--host=0.0.0.0",
            f"--frontend={frontend}",
            f"--query-port={INNER_QUERY}",
            f"--rpc-port={INNER_RPC}",
            f"--cache-bytes={servers.settings.cache_size}",
            *_common(servers),
            f"--metrics-address={name}:{INNER_QUERY}",
        ),
        ports={INNER_QUERY: port, INNER_RPC: rpc_port},
        aliases=(frontends_alias(servers.cluster),),
    )


def _common(servers: Servers) -> tuple[str, ...]:
    settings, (level, form) = servers.settings, servers.log
    timeouts = f"--request-timeout={settings.request_timeout}", f"--content-timeout={settings.content_timeout}"
    return *timeouts, f"--log-level={level}", f"--log-format={form}"


def prometheus(cluster: str, image: str, port: int, config: str) -> Part:
    return Part(
        some_name("metric_frontend"),
        image,
        {CLUSTER: cluster, METRIC_PORT: str(port)},
        command=("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/tmp/prometheus"),
        ports={INNER_PROMETHEUS: port},
        files={"/etc/prometheus/prometheus.yml": config},
        remedy="name another with prometheus_image= or CLIPPER_PROMETHEUS_IMAGE (empty: no Prometheus)",
    )


def fluentd(cluster: str, image: str, port: int) -> Part:
    """Takes the log lines of all other containers and writes them to its own output."""
    config = "<source>\n  @type forward\n  port 24224\n</source>\n<match **>\n  @type stdout\n</match>\n"
    return Part(
        some_name("fluentd"),
        image,
        {CLUSTER: cluster, FLUENTD_PORT: str(port)},
        ports={INNER_FLUENTD: port},
        only_local=True,
        files={"/fluentd/etc/fluent.conf": config},
        remedy="name another with fluentd_image=",
    )


def replica(
    cluster: str, replica_id: ReplicaId, input_type: str, image: str, gpus: str, log: tuple[str, str]
) -> Part:
    """``gpus``: what the image's label says, devices with commas between; replicas take one each, in turns.

    ``log``: of which level and format.
    """
    name, version, number = replica_id
    frontends, devices = frontends_alias(cluster), [each for each in gpus.split(",") if each]
    return Part(
        some_name(f"{name}_{version}"),
        image,
        {CLUSTER: cluster, MODEL: f"{name}_{version}", REPLICA: str(number)},
        environment={
            "CLIPPER_MODEL_NAME": name,
            "CLIPPER_MODEL_VERSION": version,
            "CLIPPER_INPUT_TYPE": input_type,
            "CLIPPER_MODEL_PATH": "/model",
            "CLIPPER_IP": frontends,
            "CLIPPER_ADDRESS": f"tcp:{frontends}:{INNER_RPC}",
            "CLIPPER_REPLICA_ID": str(number),
            "CLIPPER_METRICS_ADDRESS": f"0.0.0.0:{INNER_METRICS}",
            "CLIPPER_LOG_LEVEL": log[0],
            "CLIPPER_LOG_FORMAT": log[1],
        },
        gpu=devices[number % len(devices)] if devices else None,
    )
