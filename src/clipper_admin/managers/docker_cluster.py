"""A cluster in Docker as a whole: starting its servers, and finding those that run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers import docker_build, docker_parts, ports, waiting
from clipper_admin.managers.docker_engine import Engine, explained
from clipper_admin.managers.docker_frontends import in_order
from clipper_admin.managers.docker_parts import (
    FRONTEND,
    MANAGEMENT_FRONTEND,
    MANAGEMENT_PORT,
    METRIC_PORT,
    MODEL,
    QUERY_FRONTEND,
    QUERY_PORT,
    REDIS_PORT,
    Servers,
)
from clipper_admin.managers.docker_replicas import wait_for
from clipper_admin.managers.steps import step
from clipper_admin.prometheus import prometheus_config

START_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a cluster is to be like: ports on the host (preferences), and images; None for parts not wanted."""

    query_port: int
    management_port: int
    rpc_port: int
    redis_ip: str | None
    redis_port: int
    prometheus_port: int
    fluentd_port: int
    redis_image: str
    prometheus_image: str | None
    fluentd_image: str | None


@dataclass(frozen=True, slots=True)
class DockerCluster:
    """A running one: ``host:port`` of its parts, and the names of its query frontends."""

    admin_address: str
    query_addresses: tuple[str, ...]
    metric_address: str
    frontends: tuple[str, ...]


def start(
    engine: Engine,
    cluster: str,
    wishes: Wishes,
    images: tuple[str, str],
    cache_size: int,
    request_timeout: float,
    content_timeout: float,
    frontends: int,
    host: str,
    logger: ClusterLogger,
) -> DockerCluster:
    """Starts the servers, and the replicas that were kept; returns when the servers answer.

    Raises:
        ClipperException: it runs already; or what failed, and then what was started is gone again.
    """
    kept = _clear_way(engine, cluster, logger)
    engine.make_network()
    started: list[Any] = []

    def run(part: docker_parts.Part) -> Any:
        started.append(engine.start(part))
        return started[-1]

    try:
        with step(logger, "Starting the frontends"):
            if wishes.fluentd_image:
                _centralise(engine, run(_fluentd(cluster, wishes)))
            store = _store(engine, cluster, wishes, kept, run, logger)
            servers = Servers(cluster, store, cache_size, request_timeout, content_timeout)
            free = _Ports(wishes)
            run(docker_parts.management(servers, images[1], free.take(wishes.management_port)))
            for index in range(frontends):
                query, rpc = (wishes.query_port, wishes.rpc_port) if index == 0 else (0, 0)
                run(docker_parts.query_frontend(servers, images[0], index, free.take(query), free.take(rpc)))
            if wishes.prometheus_image:
                config = prometheus_config(f"management-frontend.{cluster}:{docker_parts.INNER_MANAGEMENT}")
                port = free.take(wishes.prometheus_port)
                run(docker_parts.prometheus(cluster, wishes.prometheus_image, port, config))
            found = as_started(engine, cluster, host)
            wait_for(started, lambda: _missing(found), START_TIMEOUT, f"Cluster {cluster}")
    except BaseException:
        engine.remove(started, graceful=False)
        engine.stop(each for each in kept if REDIS_PORT in each.labels)
        raise
    for replica in kept:
        if MODEL in replica.labels:
            logger.info("Starting replica %s again", replica.name)
            replica.start()
    return found


def as_started(engine: Engine, cluster: str, host: str) -> DockerCluster:
    """The running cluster, as its containers' labels tell.

    Raises:
        ClipperException: there is none, or only parts of one.
    """
    running = engine.containers(stopped=False)
    management = [each for each in running if MANAGEMENT_FRONTEND in each.labels]
    queries = in_order(each for each in running if QUERY_FRONTEND in each.labels)
    if not management or not queries:
        state = f"only {', '.join(each.name for each in running)} of it run" if running else "it is not running"
        raise ClipperException(
            f"Cluster {cluster} can't be connected to in Docker: {state}. Call ClipperConnection.start_clipper() to "
            "start it."
        )
    addresses = tuple(f"{host}:{each.labels[QUERY_PORT]}" for each in queries)
    prometheus = [f"{host}:{each.labels[METRIC_PORT]}" for each in running if METRIC_PORT in each.labels]
    return DockerCluster(
        f"{host}:{management[0].labels[MANAGEMENT_PORT]}",
        addresses,
        (prometheus or addresses)[0],
        tuple(each.labels[FRONTEND] for each in queries),
    )


def stop(engine: Engine, cluster: str, graceful: bool, keep_state: bool) -> None:
    """Removes everything of a cluster, running or not; with ``keep_state`` replicas and Redis are but stopped."""
    everything = engine.containers()
    replicas = [each for each in everything if MODEL in each.labels]
    stores = [each for each in everything if REDIS_PORT in each.labels]
    servers = [each for each in everything if each not in replicas and each not in stores]
    if keep_state:
        engine.stop(replicas)
        engine.remove(servers, graceful)
        engine.stop(stores)
        return
    for containers in (replicas, servers, stores):
        engine.remove(containers, graceful)
    for name, version in {each.labels[MODEL].partition("_")[::2] for each in replicas}:
        docker_build.remove_images(engine, cluster, name, version)
    engine.remove_volumes()
    engine.remove_network()


def _clear_way(engine: Engine, cluster: str, logger: ClusterLogger) -> list[Any]:
    """Removes servers that an interrupted start or a crash has left; Redis and replicas are to be taken up again."""
    everything = engine.containers()
    running = [each for each in everything if each.status in ("running", "restarting", "paused")]
    if any(MANAGEMENT_FRONTEND in each.labels for each in running) and any(
        QUERY_FRONTEND in each.labels for each in running
    ):
        raise ClipperException(
            f"Cluster {cluster} cannot be started because it already exists. "
            "Please use ClipperConnection.connect() to connect to it."
        )
    kept = [each for each in everything if MODEL in each.labels or REDIS_PORT in each.labels]
    stale = [each for each in everything if each not in kept]
    if everything:
        logger.info("Taking up the cluster %s again: %d containers of it are here", cluster, len(everything))
    engine.remove(stale, graceful=False)
    return kept


def _store(engine: Engine, cluster: str, wishes: Wishes, kept: list[Any], run: Any, logger: ClusterLogger) -> str:
    """The address of the store, as containers reach it."""
    if wishes.redis_ip:
        return docker_parts.store_address(wishes.redis_ip, wishes.redis_port, cluster)
    for redis in kept:
        if REDIS_PORT in redis.labels:
            redis.start()
            _await_redis(redis)
            return docker_parts.store_address(redis.name, docker_parts.INNER_REDIS, cluster)
    logger.info("Starting managed Redis instance in Docker")
    engine.make_volume(docker_parts.volume_name(cluster))
    port = ports.preferred_port("127.0.0.1", wishes.redis_port)
    redis = run(docker_parts.redis(cluster, wishes.redis_image, port))
    _await_redis(redis)
    return docker_parts.store_address(redis.name, docker_parts.INNER_REDIS, cluster)


def _await_redis(redis: Any) -> None:
    """Servers that start with it would end, as they can't reach it."""

    def missing() -> str:
        with explained("ask Redis"):
            code, words = redis.exec_run(["redis-cli", "ping"])
        return (
            ""
            if code == 0 and b"PONG" in words
            else f"Redis does not answer: {words.decode(errors='replace').strip()}"
        )

    wait_for([redis], missing, START_TIMEOUT, "Redis")


def _fluentd(cluster: str, wishes: Wishes) -> docker_parts.Part:
    port = ports.preferred_port("127.0.0.1", wishes.fluentd_port)
    return docker_parts.fluentd(cluster, wishes.fluentd_image or "", port)


def _centralise(engine: Engine, fluentd: Any) -> None:
    """Has the containers that are started from now on log to it."""
    import docker

    port = fluentd.labels[docker_parts.FLUENTD_PORT]
    options = {"fluentd-address": f"127.0.0.1:{port}", "fluentd-async": "true", "tag": "{{.Name}}"}
    engine.log_config = docker.types.LogConfig(type="fluentd", config=options)


def _missing(cluster: DockerCluster) -> str:
    if missing := waiting.get(cluster.admin_address, "/admin/ping"):
        return f"the management frontend: {missing}"
    for address in cluster.query_addresses:
        if missing := waiting.get(address, "/health/ready"):
            return f"the query frontend at {address}: {missing}"
    return ""


class _Ports:
    """Ports of the host, none twice."""

    def __init__(self, wishes: Wishes) -> None:
        self._given = {wishes.redis_port, wishes.fluentd_port}

    def take(self, wanted: int) -> int:
        port = ports.preferred_port("127.0.0.1", wanted, self._given)
        self._given.add(port)
        return port
