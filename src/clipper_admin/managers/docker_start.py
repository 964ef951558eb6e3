"""Starting a cluster in Docker, or taking up what is left of one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from clipper_admin.exceptions import ClipperException, ClusterExistsException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers import docker_parts, waiting
from clipper_admin.managers.docker_cluster import (
    RUNNING,
    DockerCluster,
    as_started,
    in_order,
    missing_parts,
    number_of,
)
from clipper_admin.managers.docker_engine import LOOPBACK, Engine
from clipper_admin.managers.docker_errors import explained
from clipper_admin.managers.docker_frontends import servers_of
from clipper_admin.managers.docker_parts import (
    CLUSTER,
    FLUENTD_PORT,
    MODEL,
    QUERY_FRONTEND,
    QUERY_PORT,
    RPC_PORT,
    SETTINGS,
    Servers,
)
from clipper_admin.managers.docker_ports import Ports
from clipper_admin.managers.docker_replicas import anew, log_of
from clipper_admin.managers.docker_waiting import wait_for
from clipper_admin.managers.settings import ServerSettings, taking_up
from clipper_admin.managers.steps import step
from clipper_admin.prometheus import prometheus_config

START_TIMEOUT: Final = 60.0
STARTING: Final = "-starting"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a cluster is to be like: ports on the host (preferences), and images; None for parts not wanted."""

    query_port: int
    management_port: int
    rpc_port: int
    log_level: str
    log_format: str
    redis_ip: str | None
    redis_port: int
    prometheus_port: int
    fluentd_port: int
    redis_image: str
    prometheus_image: str | None
    fluentd_image: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be started: the images of the servers, how these are run, and what else there shall be.

    ``ports``: number of a further query frontend -> those on the host that it had, for queries and for containers.
    """

    query_image: str
    management_image: str
    settings: ServerSettings
    wishes: Wishes
    ports: Mapping[int, tuple[int, int]] = field(default_factory=dict)


def redis_image(given: str = "default") -> str:
    """The one ``given``, or for ``default`` the environment's, if it has one."""
    return _chosen(given, "CLIPPER_REDIS_IMAGE", "redis:7") or "redis:7"


def prometheus_image(given: str | None = "default") -> str | None:
    """As that of Redis; None for no Prometheus."""
    return _chosen(given, "CLIPPER_PROMETHEUS_IMAGE", "prom/prometheus") or None


def _chosen(given: str | None, variable: str, otherwise: str) -> str | None:
    return os.environ.get(variable, otherwise) if given == "default" else given


def start(engine: Engine, wanted: Wanted, logger: ClusterLogger) -> DockerCluster:
    """Starts the servers, and the replicas that were kept; returns when the servers answer.

    Raises:
        ClipperException: it runs already; or what failed, and then what was started is gone again.
    """
    is_new = not engine.containers() and not engine.volumes()
    replicas, wanted = _clear_way(engine, wanted, logger)
    engine.make_network()
    starting = _Start(engine, wanted, logger)
    try:
        with step(logger, "Starting the frontends"):
            starting.start_servers()
            found = as_started(engine)
            wait_for(starting.started, lambda: _missing(found), START_TIMEOUT, f"Cluster {engine.cluster}")
            starting.end()
    except BaseException:
        engine.remove(starting.started, graceful=False)
        if is_new:
            engine.remove_volumes()
        engine.remove_network()
        raise
    _start_again(engine, replicas, found.log, logger)
    return found


def _clear_way(engine: Engine, wanted: Wanted, logger: ClusterLogger) -> tuple[list[Any], Wanted]:
    """Removes servers that an interrupted start or a crash has left; its replicas, and ``wanted`` as before."""
    everything = engine.containers()
    if not everything:
        return [], wanted
    wanted = _as_before(wanted, everything)
    missing = missing_parts(engine)
    if not _interrupted(everything) and not missing:
        raise ClusterExistsException(engine.cluster)
    logger.info("Taking up the cluster %s again: %d containers of it are here", engine.cluster, len(everything))
    if missing and any(each.status in RUNNING for each in everything):
        logger.info("It runs without %s", " and ".join(missing))
    engine.adopt(each for each in everything if FLUENTD_PORT not in each.labels)
    replicas = [each for each in everything if MODEL in each.labels]
    engine.remove([each for each in everything if each not in replicas], graceful=False)
    return replicas, wanted


def _interrupted(everything: list[Any]) -> bool:
    """Whether the start that made these containers came to no end."""
    return any(each.name.endswith(STARTING) for each in everything)


def _as_before(wanted: Wanted, everything: list[Any]) -> Wanted:
    """What is wanted, with the settings of the cluster's last start where nobody gave any."""
    noted = [each.labels[SETTINGS] for each in everything if SETTINGS in each.labels]
    queries = in_order(each for each in everything if QUERY_FRONTEND in each.labels)
    if noted:
        before = SimpleNamespace(**json.loads(noted[0]))
    elif queries:  # the management frontend, which has the note, is gone
        before = _of_frontend(queries[0])
    else:
        return wanted
    if queries and not _interrupted(everything):
        before.frontends = number_of(queries[-1]) + 1  # some may have been added since, or been lost
    return replace(
        wanted,
        settings=taking_up(wanted.settings, before),
        wishes=taking_up(wanted.wishes, before),
        ports={number_of(each): (int(each.labels[QUERY_PORT]), int(each.labels[RPC_PORT])) for each in queries},
    )


def _of_frontend(query: Any) -> SimpleNamespace:
    """As what the management frontend has noted, but for its port."""
    servers = servers_of(query.labels[CLUSTER], query.attrs["Config"]["Cmd"])
    level, form = servers.log
    ports = {"query_port": int(query.labels[QUERY_PORT]), "rpc_port": int(query.labels[RPC_PORT])}
    return SimpleNamespace(**asdict(servers.settings), **ports, log_level=level, log_format=form)


def _start_again(engine: Engine, replicas: list[Any], log: tuple[str, str], logger: ClusterLogger) -> None:
    """Those that would be started otherwise now are made anew, of the same image."""
    for replica in replicas:
        try:
            logger.info("Starting replica %s again", replica.name)
            if engine.has_what_is_given(replica) and log_of(replica) == log:
                with explained(f"start the container {replica.name}"):
                    replica.start()
            else:
                logger.info("Replica %s is made anew: its cluster comes up otherwise than before", replica.name)
                part = anew(engine, replica, log)
                engine.remove([replica], graceful=False)
                engine.start(part)
        except ClipperException as error:
            logger.warning("Replica %s is not started again: %s", replica.name, error)
            engine.remove([replica], graceful=False)


class _Start:
    """A start under way. ``started``: its containers so far."""

    def __init__(self, engine: Engine, wanted: Wanted, logger: ClusterLogger) -> None:
        self.started: list[Any] = []
        self._engine = engine
        self._wanted = wanted
        self._logger = logger
        self._ports = Ports(engine, {wanted.wishes.redis_port, wanted.wishes.fluentd_port})
        self._management: Any = None

    def start_servers(self) -> None:
        """Until ``end`` the name of the management frontend tells that not all of them may be there."""
        cluster, wishes, settings = self._engine.cluster, self._wanted.wishes, self._wanted.settings
        if wishes.fluentd_image:
            make = partial(docker_parts.fluentd, cluster, wishes.fluentd_image)
            self._engine.adopt([self._run(make, self._ports.choose(wishes.fluentd_port, own=True))])
        log = {"log_level": wishes.log_level, "log_format": wishes.log_format}
        servers = Servers(cluster, self._store(), settings, (wishes.log_level, wishes.log_format))
        query, management, rpc = map(self._ports.choose, (wishes.query_port, wishes.management_port, wishes.rpc_port))
        ports_taken = {"query_port": query, "management_port": management, "rpc_port": rpc}
        remembered = ports_taken | log | asdict(settings)

        def starting(port: int) -> docker_parts.Part:
            noted = json.dumps(remembered | {"management_port": port})
            part = docker_parts.management(servers, self._wanted.management_image, port, noted)
            return replace(part, name=part.name + STARTING)

        self._management = self._run(starting, management)
        if wishes.prometheus_image:
            config = prometheus_config(f"{docker_parts.management_alias(cluster)}:{docker_parts.INNER_MANAGEMENT}")
            make = partial(docker_parts.prometheus, cluster, wishes.prometheus_image, config=config)
            self._run(make, self._ports.choose(wishes.prometheus_port))
        for index in range(settings.frontends):
            if index:
                query, rpc = map(self._ports.choose, self._wanted.ports.get(index, (0, 0)))
            self._run(partial(docker_parts.query_frontend, servers, self._wanted.query_image, index), query, rpc)

    def end(self) -> None:
        with explained(f"rename the container {self._management.name}"):
            self._management.rename(self._management.name.removesuffix(STARTING))

    def _run(self, make: Callable[..., docker_parts.Part], *chosen: int) -> Any:
        self.started.append(self._ports.start(make, *chosen))
        return self.started[-1]

    def _store(self) -> str:
        """The address of the store, as containers reach it; what an earlier Redis wrote is in the volume."""
        cluster, wishes = self._engine.cluster, self._wanted.wishes
        if wishes.redis_ip:
            return docker_parts.store_address(wishes.redis_ip, wishes.redis_port, cluster)
        self._logger.info("Starting managed Redis instance in Docker")
        self._engine.make_volume(docker_parts.volume_name(cluster))
        make = partial(docker_parts.redis, cluster, wishes.redis_image)
        redis = self._run(make, self._ports.choose(wishes.redis_port, own=True))
        _await_redis(redis)
        return docker_parts.store_address(redis.name, docker_parts.INNER_REDIS, cluster)


def _await_redis(redis: Any) -> None:
    """Servers that start with it would end, as they can't reach it."""

    def missing() -> str:
        with explained("ask Redis"):
            code, words = redis.exec_run(["redis-cli", "ping"])
        said = words.decode(errors="replace").strip()
        return "" if code == 0 and "PONG" in said else f"Redis does not answer: {said}"

    wait_for([redis], missing, START_TIMEOUT, "Redis")


def _missing(cluster: DockerCluster) -> str:
    asked = {cluster.admin_address: ("the management frontend", "/admin/ping")}
    asked |= {address: ("the query frontend", "/health/ready") for address in cluster.query_addresses}
    for address, (what, path) in asked.items():
        if missing := waiting.get(address, path):
            return f"{what} at {address}: {missing}{_doubt_about(address.rpartition(':')[0])}"
    return ""


def _doubt_about(host: str) -> str:
    return "" if host in LOOPBACK else f"; is docker_ip_address, {host}, one of the engine's machine?"
