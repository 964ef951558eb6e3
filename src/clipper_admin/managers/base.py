"""What ClipperConnection asks of whatever runs a cluster's processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from clipper_admin.managers.supervisor import Process


class ContainerManager(Protocol):
    """Starts, finds and stops the processes of one cluster. All methods raise ``ClipperException``.

    No method waits without a bound; one that gives up says what it waited for and shows the process's last log lines.
    """

    cluster_identifier: str
    place: str
    """Where the cluster is, for people: a folder, or Docker."""

    def start_clipper(
        self,
        query_frontend_image: str,
        mgmt_frontend_image: str,
        frontend_exporter_image: str,
        cache_size: int,
        qf_http_thread_pool_size: int,
        qf_http_timeout_request: float,
        qf_http_timeout_content: float,
        num_frontend_replicas: int,
    ) -> None:
        """Starts a cluster (what an earlier one kept on disk is taken up again) and connects to it."""
        ...

    def connect(self) -> None:
        """Finds the running cluster of this name."""
        ...

    def deploying(self, name: str, version: str) -> AbstractContextManager[None]:
        """Keeps every other session from building or deploying this version while the block runs; it does not nest.

        A session that holds it and is killed lets go of it. One that waits for it gives up in time and says why.
        """
        ...

    def check_gpus(self, gpus: Sequence[str]) -> None:
        """Raises if it can be told now that replicas will not be given these devices."""
        ...

    def find_python(self, version: str, framework: str) -> tuple[str, list[str]]:
        """The ``base_image`` with this Python for models of a framework, and packages that it has to be given."""
        ...

    def build_image(
        self,
        name: str,
        version: str,
        model_data_path: str,
        base_image: str,
        container_registry: str | None,
        pkgs_to_install: Sequence[str] | None,
    ) -> str:
        """Makes something runnable of a model directory; returns its tag, ``[registry/]cluster-name:version``."""
        ...

    def deploy_model(self, name: str, version: str, input_type: str, image: str, num_replicas: int = 1) -> None:
        """Starts replicas; returns when the first one is connected to every query frontend."""
        ...

    def get_num_replicas(self, name: str, version: str) -> int: ...

    def get_running_versions(self, name: str) -> list[str]:
        """The versions of a model that have replicas, whether anybody registered them or not."""
        ...

    def set_num_replicas(self, name: str, version: str, input_type: str, image: str, num_replicas: int) -> None:
        """Adds or removes replicas, leaving the others alone; returns when the added ones are connected."""
        ...

    def set_num_frontend_replicas(self, num_frontend_replicas: int) -> None:
        """Adds query frontends, which are ready when this returns, or removes some, which drain; the others serve on.

        Managers that can't do so while the cluster runs say how else it is done.
        """
        ...

    def exists(self) -> bool:
        """Whether anything of the cluster is there, running or not."""
        ...

    def running_clusters(self) -> list[str]:
        """The names of the clusters that run where this one would, in order."""
        ...

    def process_table(self) -> list[Process]:
        """Every program of the cluster with its state, pid and uptime."""
        ...

    def programs(self) -> list[str]:
        """The names of the programs, servers and replicas, that are to run."""
        ...

    def log_lines(self, program: str | None, count: int, follow: bool) -> Iterator[tuple[str, str]]:
        """The last ``count`` lines of a program, or of all, as (program, line); then, to ``follow``, all new ones."""
        ...

    def get_logs(self, logging_dir: str) -> list[str]:
        """Copies every log of the cluster below ``logging_dir``; the paths written."""
        ...

    def stop_models(self, models: Mapping[str, Sequence[str]]) -> None:
        """Drains and stops every replica of the given versions, and forgets their images; passes over the unknown."""
        ...

    def stop_all_model_containers(self) -> None: ...

    def stop_all(self, graceful: bool = True, keep_state: bool = False) -> None:
        """Stops every process; forgets what was registered, unless ``keep_state``."""
        ...

    def get_admin_addr(self) -> str: ...

    def get_query_addr(self) -> str: ...

    def get_metric_addr(self) -> str: ...
