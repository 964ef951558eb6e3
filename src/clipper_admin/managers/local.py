"""The embedded default: a cluster of processes on this machine, kept running by supervisord."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from clipper_admin import defaults, log_lines
from clipper_admin.exceptions import ClipperException, ClusterExistsException
from clipper_admin.limits import seconds, whole_number
from clipper_admin.log import ClusterLogger
from clipper_admin.managers import lifecycle, logs, ports, replicas, settings
from clipper_admin.managers.environments import find_python, prepare_interpreter
from clipper_admin.managers.folders import (
    Cluster,
    ClusterFolder,
    default_home,
    disk_errors,
    locked,
    private_folder,
    valid_name,
)
from clipper_admin.managers.images import Image, image_tag, note_input_type, remove_image, write_image
from clipper_admin.managers.lifecycle import running_clusters
from clipper_admin.managers.programs import check_gpus
from clipper_admin.managers.supervisor import Process
from clipper_admin.names import check_model, may_have_image

__all__ = ["LocalContainerManager", "running_clusters"]

LOCK_TIMEOUT = 90.0


class LocalContainerManager:
    """Runs a cluster as processes of this user on this machine; they outlive the session that started them.

    Args:
        cluster_name: clusters of different names live side by side, given different ports.
        clipper_query_port: where applications ask; 0 for any free port.
        clipper_management_port: where ``/admin`` is; 0 for any free port.
        clipper_rpc_port: where model containers of other machines connect, one port more for each further query
            frontend; 0 for any free ports. Those on this machine use Unix sockets.
        home: the folder of all clusters; $CLIPPER_HOME or ``~/.clipper`` by default.
        host: the address the servers listen on.
        deploy_timeout: seconds a deploy waits for replicas to be ready.
        log_level: ``debug`` (a line for each request and batch), ``info``, ``warning`` or ``error``.
        log_format: ``text``, or ``json``: an object a line.

    Ports, ``host`` and what is logged, where not given, are as they were if there is a cluster to be taken up again.
    """

    def __init__(
        self,
        cluster_name: str = "default-cluster",
        clipper_query_port: int = defaults.QUERY_PORT,
        clipper_management_port: int = defaults.MANAGEMENT_PORT,
        clipper_rpc_port: int = defaults.RPC_PORT,
        home: str | Path | None = None,
        host: str = defaults.HOST,
        deploy_timeout: float = 300.0,
        log_level: str = defaults.LOG_LEVEL,
        log_format: str = defaults.LOG_FORMAT,
    ) -> None:
        self.cluster_identifier = valid_name("cluster name", cluster_name)
        self.home = Path(home or default_home()).expanduser().absolute()
        self.place = f"home: {self.home}"
        self.host = host
        self.deploy_timeout = seconds("deploy_timeout", deploy_timeout)
        self.logger = ClusterLogger(logging.getLogger(__name__), cluster_name)
        self._ports = settings.server_ports(clipper_query_port, clipper_management_port, clipper_rpc_port)
        self._log = settings.log_settings(log_level, log_format)
        self._folder = ClusterFolder(self.home / "clusters" / cluster_name)
        self._cluster: Cluster | None = None

    def start_clipper(
        self,
        query_frontend_image: str = "",
        mgmt_frontend_image: str = "",
        frontend_exporter_image: str = "",
        cache_size: int = defaults.CACHE_SIZE,
        qf_http_thread_pool_size: int = 1,
        qf_http_timeout_request: float = defaults.REQUEST_TIMEOUT,
        qf_http_timeout_content: float = defaults.CONTENT_TIMEOUT,
        num_frontend_replicas: int = defaults.FRONTENDS,
    ) -> None:
        """Starts the cluster; what an earlier one left behind in its folder (after a crash, say) comes up again.

        So do its settings, where no others are given.
        Images and ``qf_http_thread_pool_size`` have no meaning for processes on this machine.
        """
        servers = settings.server_settings(
            cache_size, qf_http_timeout_request, qf_http_timeout_content, num_frontend_replicas
        )
        more = self._log | dataclasses.asdict(servers)
        wanted = Cluster(self.host, *self._ports, sockets="", **more)
        if qf_http_thread_pool_size != 1:
            self.logger.info("qf_http_thread_pool_size has no effect: see num_frontend_replicas.")
        with disk_errors("start the cluster", self._folder.path), self._locked():
            if lifecycle.control(self._folder).running():
                raise ClusterExistsException(self.cluster_identifier)
            self._start(wanted)

    def connect(self) -> None:
        """Finds the running cluster of this name, whatever its ports."""
        cluster = self._folder.read()
        if cluster is None or not lifecycle.control(self._folder).running():
            others = ", ".join(running_clusters(self.home)) or "none"
            raise ClipperException(
                f"Cluster {self.cluster_identifier} is not running (home: {self.home}; clusters running there: "
                f"{others}). Call ClipperConnection.start_clipper() to start it."
            )
        self._cluster = cluster

    def deploying(self, name: str, version: str) -> AbstractContextManager[None]:
        """Keeps other sessions from building or deploying this version; waits ``DEPLOY_PATIENCE`` seconds for one."""
        check_model(name, version)
        return replicas.deploying(self._folder, name, version)

    def check_gpus(self, gpus: Sequence[str]) -> None:
        """Raises if this machine has none."""
        check_gpus(gpus)

    def find_python(self, version: str, framework: str) -> tuple[str, list[str]]:
        """An interpreter of this machine; a package, as for one without any what the container needs is installed."""
        return find_python(version), ["numpy"]

    def build_image(
        self,
        name: str,
        version: str,
        model_data_path: str,
        base_image: str = "default",
        container_registry: str | None = None,
        pkgs_to_install: Sequence[str] | None = None,
    ) -> str:
        """Copies a model directory into the cluster's folder and finds, or makes, the Python that will run it.

        ``base_image`` is the path of an interpreter, or ``default`` for the one of this session. With
        ``pkgs_to_install`` an isolated environment of that interpreter is made, once for equal packages.
        """
        settings.check_build(name, version, model_data_path, self.get_num_replicas(name, version))
        self.logger.info("Building model image with model data from %s", model_data_path)
        packages = tuple(pkgs_to_install or ())
        with disk_errors(f"build model {name}:{version}", self.home):
            interpreter = prepare_interpreter(self.home / "environments", base_image, packages, self.logger)
            tag = image_tag(self.cluster_identifier, name, version, container_registry)
            self._folder.create()
            write_image(self._folder, name, version, Image(tag, interpreter, packages), Path(model_data_path))
        return tag

    def deploy_model(self, name: str, version: str, input_type: str, image: str, num_replicas: int = 1) -> None:
        """Starts replicas; returns when the first one is connected to every query frontend."""
        self._scale(name, version, input_type, image, num_replicas, wait_for_all=False)

    def get_num_replicas(self, name: str, version: str) -> int:
        return len(replicas.configured_replicas(self._folder, name, version))

    def get_running_versions(self, name: str) -> list[str]:
        """The versions of a model that have replicas, registered or not."""
        return sorted({each.version for each in replicas.all_replicas(self._folder) if each.model == name})

    def set_num_replicas(self, name: str, version: str, input_type: str, image: str, num_replicas: int) -> None:
        """Adds replicas and waits for all of them, or removes the youngest; the others are not touched."""
        self._scale(name, version, input_type, image, num_replicas, wait_for_all=True)

    def set_num_frontend_replicas(self, num_frontend_replicas: int) -> None:
        """Raises, unless there are as many: replicas here are told the query frontends when they start."""
        lifecycle.check_frontends(self._connected(), num_frontend_replicas)

    def get_logs(self, logging_dir: str) -> list[str]:
        """Copies every log to ``<logging_dir>/<cluster>_<program>.log``; the paths written."""
        target = Path(logging_dir).expanduser().absolute()
        with disk_errors("copy the logs", target):
            return logs.copy_logs(self._folder, self.cluster_identifier, target)

    def stop_models(self, models: Mapping[str, Sequence[str]]) -> None:
        """Drains and stops every replica of the given versions, and forgets their images; passes over the unknown."""
        versions = [(name, str(version)) for name, each in models.items() for version in each]
        versions = [each for each in versions if may_have_image(*each)]
        doomed = [
            replica
            for name, version in versions
            for replica in replicas.configured_replicas(self._folder, name, version)
        ]
        if doomed:
            replicas.remove_replicas(self._folder, doomed)
        for name, version in versions:
            remove_image(self._folder, name, version)

    def stop_all_model_containers(self) -> None:
        """``stop_models`` for every version that has an image or replicas here."""
        self.stop_models(replicas.known_versions(self._folder))

    def stop_all(self, graceful: bool = True, keep_state: bool = False) -> None:
        """Stops every process of the cluster, crashed or not, and forgets everything registered.

        Args:
            graceful: replicas, then servers, finish what they are doing; otherwise all are killed at once.
            keep_state: keep the cluster's folder, for the next ``start_clipper`` to take everything up again.
        """
        self._cluster = None
        if not self._folder.path.exists():
            self.logger.info("There is no cluster %s in %s to stop", self.cluster_identifier, self.home)
            return
        with disk_errors("stop the cluster", self._folder.path), self._locked():
            lifecycle.stop_processes(self._folder, graceful)
            if not keep_state:
                lifecycle.remove_files(self._folder)

    def exists(self) -> bool:
        """Whether anything of the cluster is there, running or not."""
        return self._folder.path.exists()

    def running_clusters(self) -> list[str]:
        """The names of the clusters that run in this home, in order."""
        return running_clusters(self.home)

    def get_admin_addr(self) -> str:
        cluster = self._connected()
        return ports.address(cluster.host, cluster.management_port)

    def get_query_addr(self) -> str:
        cluster = self._connected()
        return ports.address(cluster.host, cluster.query_port)

    def get_metric_addr(self) -> str:
        """The metrics for Prometheus are at the query frontend's ``/metrics``."""
        return self.get_query_addr()

    def process_table(self) -> list[Process]:
        """Every program with its state, pid and uptime."""
        return list(lifecycle.control(self._folder).processes().values())

    def programs(self) -> list[str]:
        """The names of the programs that are to run, servers and replicas."""
        return lifecycle.configured_programs(self._folder)

    def log_path(self, program: str) -> Path:
        """The log a program writes now; older parts are beside it, numbered."""
        if program not in self.programs():
            raise settings.no_program(self.cluster_identifier, program, self.programs())
        return self._folder.log(program)

    def log_lines(self, program: str | None, count: int, follow: bool) -> Iterator[tuple[str, str]]:
        """The last ``count`` lines of a program, or of all, as (program, line); then, to follow, all new ones."""
        paths = {each: self.log_path(each) for each in ([program] if program else self.programs())}
        return log_lines.follow(paths, count) if follow else log_lines.last_lines(paths, count)

    def _start(self, wanted: Cluster) -> None:
        existed = self._folder.path.exists()
        known = self._folder.read()
        if known is not None:
            self.logger.info("Taking up the cluster in %s again", self._folder.path)
            lifecycle.stop_processes(self._folder, graceful=True)
            wanted = wanted.taking_up(known)
        cluster = lifecycle.choose_cluster(self._folder, wanted)
        private_folder(self.home)
        self._folder.create()
        try:
            lifecycle.start_cluster(self._folder, cluster, os.environ, self.logger)
        except BaseException:
            if not existed:
                lifecycle.remove_files(self._folder)
            raise
        self._cluster = cluster

    def _scale(
        self, name: str, version: str, input_type: str, image: str, num_replicas: int, wait_for_all: bool
    ) -> None:
        check_model(name, version)
        num_replicas = whole_number("num_replicas", num_replicas)
        deployment = replicas.Deployment(self._folder, self._connected(), self.logger, name, version)
        with replicas.scaling(self._folder, name, version):
            current = deployment.replicas()
            surplus, missing = current[num_replicas:], num_replicas - len(current)
            found = f"Found {len(current)} replicas for {name}:{version}"
            if surplus:
                self.logger.info("%s. Removing %d", found, len(surplus))
                replicas.remove_replicas(self._folder, surplus)
            elif missing > 0:
                self.logger.info("%s. Adding %d", found, missing)
                needed = missing if wait_for_all else 1
                with disk_errors(f"deploy model {name}:{version}", self._folder.path):
                    deployed = note_input_type(self._folder, name, version, image, input_type)
                    deployment.add(deployed, missing, needed, self.deploy_timeout, os.environ)

    def _connected(self) -> Cluster:
        if self._cluster is None:
            raise settings.not_connected(self.cluster_identifier)
        return self._cluster

    def _locked(self) -> AbstractContextManager[None]:
        busy = f"Cluster {self.cluster_identifier} is being started or stopped by another session"
        return locked(self._folder.path.with_name(f".{self.cluster_identifier}.lock"), LOCK_TIMEOUT, busy)
