"""Clusters whose servers and models are containers of a Docker engine."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from clipper_admin import defaults
from clipper_admin.exceptions import ClipperException
from clipper_admin.limits import seconds, tcp_port, whole_number
from clipper_admin.log import ClusterLogger
from clipper_admin.managers import docker_build, docker_checks, docker_logs, docker_start, environments
from clipper_admin.managers.docker_checks import image_name
from clipper_admin.managers.docker_cluster import DockerCluster, as_started, check_redis, running_clusters, stop
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_frontends import FrontendScaling
from clipper_admin.managers.docker_images import remove_images
from clipper_admin.managers.docker_parts import CLUSTER, MODEL
from clipper_admin.managers.docker_replicas import Scaling
from clipper_admin.managers.docker_start import Wanted, Wishes, start
from clipper_admin.managers.folders import default_home, locked, valid_name
from clipper_admin.managers.images import image_tag
from clipper_admin.managers.replicas import DEPLOY_PATIENCE, SCALING
from clipper_admin.managers.settings import check_build, log_settings, not_connected, server_ports, server_settings
from clipper_admin.managers.supervisor import Process
from clipper_admin.names import check_model
from clipper_admin.version import __registry__, __version__


class DockerContainerManager:
    """Runs a cluster as containers of the Docker engine that ``DOCKER_HOST`` names, or this machine's.

    Args:
        cluster_name: clusters of different names live side by side on an engine.
        docker_ip_address: at which the published ports are reached. They are published on loopback for
            ``localhost``, else on all addresses of the engine's machine.
        use_centralized_log: has every container log to a fluentd of the cluster.
        fluentd_port: where that fluentd is on the host.
        clipper_query_port: where applications ask; another one is taken if it is not free, as are those below.
            Each further query frontend gets a free port of its own.
        clipper_management_port: where ``/admin`` is.
        clipper_rpc_port: where model containers outside of Docker connect.
        redis_ip: a Redis that is there already, as containers reach it; else one is started.
        redis_port: its port; of the one that is started, where it is on the host.
        prometheus_port: where Prometheus is.
        docker_network: of the containers; made if it is not there.
        extra_container_kwargs: for every container, as ``docker.containers.run`` takes them (``mem_limit``, ...). By
            default those that the cluster was started with.
        redis_image: what is started without ``redis_ip``; by default ``CLIPPER_REDIS_IMAGE``, or ``redis:7``.
        prometheus_image: None for no Prometheus; by default ``CLIPPER_PROMETHEUS_IMAGE`` (empty for none), or
            ``prom/prometheus``.
        fluentd_image: for ``use_centralized_log``.
        deploy_timeout: seconds a deploy waits for replicas to be ready.
        log_level: ``debug`` (a line for each request and batch), ``info``, ``warning`` or ``error``.
        log_format: ``text``, or ``json``: an object a line.
    """

    def __init__(
        self,
        cluster_name: str = "default-cluster",
        docker_ip_address: str = "localhost",
        use_centralized_log: bool = False,
        fluentd_port: int = 24224,
        clipper_query_port: int = defaults.QUERY_PORT,
        clipper_management_port: int = defaults.MANAGEMENT_PORT,
        clipper_rpc_port: int = defaults.RPC_PORT,
        redis_ip: str | None = None,
        redis_port: int = 6379,
        prometheus_port: int = 9090,
        docker_network: str = "clipper_network",
        extra_container_kwargs: Mapping[str, Any] | None = None,
        *,
        redis_image: str = "default",
        prometheus_image: str | None = "default",
        fluentd_image: str = "fluent/fluentd:edge",
        deploy_timeout: float = 300.0,
        log_level: str = defaults.LOG_LEVEL,
        log_format: str = defaults.LOG_FORMAT,
    ) -> None:
        self.cluster_identifier = valid_name("cluster name", cluster_name)
        self.place = "in Docker"
        self.logger = ClusterLogger(logging.getLogger(__name__), cluster_name)
        self.deploy_timeout = seconds("deploy_timeout", deploy_timeout)
        address, network = docker_checks.engine_address(docker_ip_address), docker_checks.network(docker_network)
        self._engine = Engine(cluster_name, address, network, extra_container_kwargs)
        self._wishes = Wishes(
            *server_ports(clipper_query_port, clipper_management_port, clipper_rpc_port),
            **log_settings(log_level, log_format),
            redis_ip=docker_checks.redis_address(redis_ip),
            redis_port=tcp_port("redis_port", redis_port),
            prometheus_port=tcp_port("prometheus_port", prometheus_port),
            fluentd_port=tcp_port("fluentd_port", fluentd_port),
            redis_image=docker_start.redis_image(image_name("redis_image", redis_image)),
            prometheus_image=docker_start.prometheus_image(
                prometheus_image and image_name("prometheus_image", prometheus_image)
            ),
            fluentd_image=image_name("fluentd_image", fluentd_image) if use_centralized_log else None,
        )
        self._cluster: DockerCluster | None = None

    def start_clipper(
        self,
        query_frontend_image: str = f"{__registry__}/query_frontend:{__version__}",
        mgmt_frontend_image: str = f"{__registry__}/management_frontend:{__version__}",
        frontend_exporter_image: str = "",
        cache_size: int = defaults.CACHE_SIZE,
        qf_http_thread_pool_size: int = 1,
        qf_http_timeout_request: float = defaults.REQUEST_TIMEOUT,
        qf_http_timeout_content: float = defaults.CONTENT_TIMEOUT,
        num_frontend_replicas: int = defaults.FRONTENDS,
    ) -> None:
        """Starts the cluster; what ``stop_all(keep_state=True)``, a crash or an interrupted start has left is used.

        So are its settings, where no others are given. Query frontends serve Prometheus themselves:
        ``frontend_exporter_image`` has no use, nor has ``qf_http_thread_pool_size``.
        """
        settings = server_settings(
            cache_size, qf_http_timeout_request, qf_http_timeout_content, num_frontend_replicas
        )
        query = image_name("query_frontend_image", query_frontend_image)
        management = image_name("mgmt_frontend_image", mgmt_frontend_image)
        docker_checks.check_resolves(self._engine.host)
        wanted = Wanted(query, management, settings, self._wishes)
        with self._alone():
            self._cluster = start(self._engine, wanted, self.logger)

    def connect(self) -> None:
        """Finds the running cluster of this name, whatever its ports."""
        docker_checks.check_resolves(self._engine.host)
        self._cluster = as_started(self._engine)
        check_redis(self._engine)

    def deploying(self, name: str, version: str) -> AbstractContextManager[None]:
        """Keeps other sessions of this machine from building or deploying this version meanwhile."""
        check_model(name, version)
        busy = f"Model {name}:{version} is being deployed by another session of cluster {{}}: wait until that is done"
        return self._locked(f"{name}_{version}.deploying", busy)

    def check_gpus(self, gpus: Sequence[str]) -> None:
        """Only the start of a replica tells which devices the engine can give."""

    def find_python(self, version: str, framework: str) -> tuple[str, list[str]]:
        """The framework's image for this Python, as ``make images`` names it; nothing is to be added to it."""
        if version.count(".") != 1:
            raise ClipperException(
                f"python_version={version!r}, but images are made for Pythons of two numbers: "
                f"give {version.rpartition('.')[0]!r}, or name a base_image"
            )
        return docker_build.base_name(framework, version), []

    def build_image(
        self,
        name: str,
        version: str,
        model_data_path: str,
        base_image: str = "default",
        container_registry: str | None = None,
        pkgs_to_install: Sequence[str] | None = None,
    ) -> str:
        """Builds an image of a model directory, and pushes it if a registry is named.

        ``base_image``: ``default`` is that of the model's framework, of ``CLIPPER_REGISTRY``. ``pkgs_to_install`` are
        installed into it by pip.
        """
        check_build(name, version, model_data_path, self.get_num_replicas(name, version))
        self.logger.info("Building model Docker image with model data from %s", model_data_path)
        tag = image_tag(self.cluster_identifier, name, version, docker_checks.registry(container_registry))
        labels = {CLUSTER: self.cluster_identifier, MODEL: f"{name}_{version}"}
        packages = environments.checked(pkgs_to_install or ())
        docker_build.build(self._engine, labels, tag, Path(model_data_path), base_image, packages, self.logger)
        if container_registry:
            docker_build.push(self._engine, tag, self.logger)
        return tag

    def deploy_model(self, name: str, version: str, input_type: str, image: str, num_replicas: int = 1) -> None:
        """Starts replicas; returns when the first one is connected to every query frontend."""
        self._scale(name, version, input_type, image_name("image", image), num_replicas, wait_for_all=False)

    def get_num_replicas(self, name: str, version: str) -> int:
        return len(self._engine.containers({MODEL: f"{name}_{version}"}))

    def get_running_versions(self, name: str) -> list[str]:
        """The versions of a model that have replicas, registered or not."""
        found = {each.labels[MODEL].partition("_")[::2] for each in self._engine.containers({MODEL: None})}
        return sorted(version for model, version in found if model == name)

    def set_num_replicas(self, name: str, version: str, input_type: str, image: str, num_replicas: int) -> None:
        """Adds replicas and waits for all of them, or removes the youngest; the others are not touched."""
        self._scale(name, version, input_type, image, num_replicas, wait_for_all=True)

    def set_num_frontend_replicas(self, num_frontend_replicas: int) -> None:
        """Adds query frontends and waits until every replica is connected to them, or drains the youngest."""
        count = whole_number("num_frontend_replicas", num_frontend_replicas, least=1)
        cluster = self._connected()
        with self._alone():
            FrontendScaling(self._engine, cluster.admin_address, self.logger).set_count(count)
            self._look_again()

    def get_logs(self, logging_dir: str) -> list[str]:
        """Writes the log of every container to ``image_<id>:container_<id>.log``, as the original; the paths."""
        return docker_logs.write_all(self._engine, Path(logging_dir).expanduser().absolute())

    def process_table(self) -> list[Process]:
        """Every container, under its program's name, with its state, and its pid on the engine's machine."""
        return docker_logs.processes(self._engine)

    def programs(self) -> list[str]:
        """The names of the containers' programs, stopped ones as well, as the local manager calls them."""
        return sorted(each.program for each in self.process_table())

    def log_lines(self, program: str | None, count: int, follow: bool) -> Iterator[tuple[str, str]]:
        """The last ``count`` lines of a program's log, or of all, as (program, line); then, to follow, all new ones.

        ``program`` may be a container's name. What has stopped has its log still.
        """
        return docker_logs.lines(self._engine, program, count, follow)

    def stop_models(self, models: Mapping[str, Sequence[str]]) -> None:
        """Drains and stops every replica of the given versions, and removes their images; passes over the unknown."""
        versions = [(name, str(version)) for name, each in models.items() for version in each]
        doomed = [
            each for name, version in versions for each in self._engine.containers({MODEL: f"{name}_{version}"})
        ]
        self._engine.remove(doomed, graceful=True)
        for name, version in versions:
            remove_images(self._engine, self.logger, f"{name}_{version}")

    def stop_all_model_containers(self) -> None:
        """``stop_models`` for every version that has an image or replicas."""
        self._engine.remove(self._engine.containers({MODEL: None}), graceful=True)
        remove_images(self._engine, self.logger)

    def stop_all(self, graceful: bool = True, keep_state: bool = False) -> None:
        """Stops every container of the cluster, and removes it, the volume, and the network if nobody else is on it.

        Args:
            graceful: replicas, then servers, finish what they are doing; otherwise all are killed at once.
            keep_state: keep the replicas and Redis, stopped, for the next ``start_clipper`` to take up again.
        """
        self._cluster = None
        with self._alone():
            stop(self._engine, graceful, keep_state, self.logger)

    def exists(self) -> bool:
        """Whether anything of the cluster is there, running or not."""
        return bool(self._engine.containers() or self._engine.images() or self._engine.volumes())

    def running_clusters(self) -> list[str]:
        """The names of the clusters that run on the engine, in order."""
        return running_clusters(self._engine)

    def get_admin_addr(self) -> str:
        return self._connected().admin_address

    def get_query_addr(self) -> str:
        """Of the first query frontend; ``get_query_addrs`` has all."""
        return self._connected().query_addresses[0]

    def get_query_addrs(self) -> list[str]:
        """Of every query frontend there is now; they are equal: a load balancer may choose any for each query."""
        return list(self._look_again().query_addresses)

    def get_metric_addr(self) -> str:
        """Of Prometheus; without one, of the first query frontend, which has ``/metrics``."""
        return self._connected().metric_address

    def _scale(
        self, name: str, version: str, input_type: str, image: str, num_replicas: int, wait_for_all: bool
    ) -> None:
        check_model(name, version)
        num_replicas = whole_number("num_replicas", num_replicas)
        self._connected()
        busy = SCALING.format(name, version)  # deploys hold the lock of ``deploying``, which does not nest
        with self._locked(f"{name}_{version}.scaling", busy):
            scaling = Scaling(self._engine, self._look_again(), self.logger, name, version, self.deploy_timeout)
            scaling.set_count(image, input_type, num_replicas, wait_for_all)

    def _connected(self) -> DockerCluster:
        if self._cluster is None:
            raise not_connected(self.cluster_identifier)
        return self._cluster

    def _look_again(self) -> DockerCluster:
        """Other sessions may have added query frontends, or removed some."""
        self._connected()
        self._cluster = as_started(self._engine)
        return self._cluster

    def _alone(self) -> AbstractContextManager[None]:
        return self._locked(".starting", "Cluster {} is being started, stopped or scaled by another session")

    def _locked(self, what: str, busy: str) -> AbstractContextManager[None]:
        folder = default_home().expanduser().absolute() / "docker" / self.cluster_identifier
        return locked(folder / what, DEPLOY_PATIENCE, busy.format(self.cluster_identifier))
