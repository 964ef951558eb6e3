"""A cluster in Docker as a whole: finding those that run, and stopping one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from clipper_admin.defaults import LOG_FORMAT, LOG_LEVEL
from clipper_admin.exceptions import ClipperException, IncompleteClusterException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_errors import explained
from clipper_admin.managers.docker_images import remove_images
from clipper_admin.managers.docker_parts import (
    CLUSTER,
    FRONTEND,
    MANAGEMENT_FRONTEND,
    MANAGEMENT_PORT,
    METRIC_PORT,
    MODEL,
    QUERY_FRONTEND,
    QUERY_PORT,
    REDIS_PORT,
    SETTINGS,
)

RUNNING: Final = ("running", "restarting", "paused")
"""What the engine says of a container that runs, or is to."""


@dataclass(frozen=True, slots=True)
class DockerCluster:
    """A running one: ``host:port`` of its parts, the names of its query frontends, level and format of its logs."""

    admin_address: str
    query_addresses: tuple[str, ...]
    metric_address: str
    frontends: tuple[str, ...]
    log: tuple[str, str]


def in_order(frontends: Iterable[Any]) -> list[Any]:
    """Containers of query frontends, the oldest first."""
    return sorted(frontends, key=number_of)


def number_of(frontend: Any) -> int:
    """Of the ``frontend-<number>`` that a container is."""
    return int(frontend.labels[FRONTEND].rpartition("-")[2])


def stop(engine: Engine, graceful: bool, keep_state: bool, logger: ClusterLogger) -> None:
    """Stops everything; without ``keep_state`` all that was made for the cluster is removed, and nothing else."""
    everything = engine.containers()
    engine.adopt(everything)
    if not everything:
        logger.info("There is no cluster %s in Docker to stop", engine.cluster)
    replicas = [each for each in everything if MODEL in each.labels]
    stores = [each for each in everything if REDIS_PORT in each.labels]
    servers = [each for each in everything if each not in replicas and each not in stores]
    for containers in (replicas, servers, stores):
        if keep_state:
            engine.stop(containers, graceful)
        else:
            engine.remove(containers, graceful)
    if not keep_state:
        remove_images(engine, logger)
        engine.remove_volumes()
        engine.remove_network()


def as_started(engine: Engine) -> DockerCluster:
    """The running cluster, as its containers' labels tell.

    Raises:
        ClipperException: there is none, or only parts of one.
    """
    running = engine.containers(stopped=False)
    management = [each for each in running if MANAGEMENT_FRONTEND in each.labels]
    queries = in_order(each for each in running if QUERY_FRONTEND in each.labels)
    if not management or not queries:
        if any(each for each in running if MODEL not in each.labels):
            raise IncompleteClusterException(engine.cluster, " and ".join(missing_parts(engine)))
        raise ClipperException(
            f"Cluster {engine.cluster} can't be connected to in Docker: it is not running. Call "
            "ClipperConnection.start_clipper() to start it."
        )
    engine.adopt(running)
    host, remembered = engine.host, json.loads(management[0].labels.get(SETTINGS, "{}"))
    addresses = tuple(f"{host}:{each.labels[QUERY_PORT]}" for each in queries)
    prometheus = [f"{host}:{each.labels[METRIC_PORT]}" for each in running if METRIC_PORT in each.labels]
    return DockerCluster(
        f"{host}:{management[0].labels[MANAGEMENT_PORT]}",
        addresses,
        (prometheus or addresses)[0],
        tuple(each.labels[FRONTEND] for each in queries),
        (remembered.get("log_level", LOG_LEVEL), remembered.get("log_format", LOG_FORMAT)),
    )


def missing_parts(engine: Engine) -> list[str]:
    """What the servers of a cluster can't do without and does not run, in words.

    Of query frontends those are missing whose number is below that of another: the youngest may have been removed
    by ``set_num_frontend_replicas``.
    """
    everything = engine.containers()
    running = [each for each in everything if each.status in RUNNING]
    missing = []
    if _has_own_redis(engine, everything) and not any(REDIS_PORT in each.labels for each in running):
        missing.append("its Redis")
    if not any(MANAGEMENT_FRONTEND in each.labels for each in running):
        missing.append("its management frontend")
    known, here = (
        {number_of(each) for each in some if QUERY_FRONTEND in each.labels} for some in (everything, running)
    )
    absent = sorted(set(range(max(known, default=0) + 1)) - here)
    return missing + [f"its query-frontend-{number}" for number in absent]


def _has_own_redis(engine: Engine, everything: Iterable[Any]) -> bool:
    """Whether its servers use one that was started for them; its container may be gone."""
    servers = [each for each in everything if MANAGEMENT_FRONTEND in each.labels or QUERY_FRONTEND in each.labels]
    stores = [word for each in servers for word in each.attrs["Config"]["Cmd"] or () if word.startswith("--store=")]
    return bool(engine.volumes()) and any(re.match(r"--store=redis://redis-\d{6}:", each) for each in stores)


def check_redis(engine: Engine) -> None:
    """Raises IncompleteClusterException if the container of a running cluster's own Redis is gone.

    One that has stopped is there: whoever has stopped it will start it.
    """
    everything = engine.containers()
    if _has_own_redis(engine, everything) and not any(REDIS_PORT in each.labels for each in everything):
        raise IncompleteClusterException(engine.cluster, "its Redis")


def running_clusters(engine: Engine) -> list[str]:
    """The names of the clusters that run on the engine, in order."""
    with explained("list the clusters"):
        found = engine.client.containers.list(filters={"label": [CLUSTER, MANAGEMENT_FRONTEND]}, ignore_removed=True)
    return sorted({each.labels[CLUSTER] for each in found})
