"""ClipperConnection: the object a Python session holds of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from clipper_admin import defaults
from clipper_admin.applications import Applications
from clipper_admin.deployment import Deployment
from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.base import ContainerManager
from clipper_admin.managers.local import LocalContainerManager
from clipper_admin.selection import Selection
from clipper_admin.version import __registry__, __version__

DEFAULT_PREDICTION_CACHE_SIZE_BYTES: Final = 33_554_432
DEFAULT_LABEL: Final[Sequence[str]] = []
# The managers have waited for readiness already; this is for the last moments of a slow machine.
START_PATIENCE: Final = 30.0


class ClipperConnection(Applications, Deployment, Selection):
    """Starts a cluster or connects to one, and does everything else with it.

    Args:
        container_manager: what runs the cluster's processes; None is processes on this machine.
    """

    def __init__(self, container_manager: ContainerManager | None = None) -> None:
        super().__init__(LocalContainerManager() if container_manager is None else container_manager)

    def start_clipper(
        self,
        query_frontend_image: str = f"{__registry__}/query_frontend:{__version__}",
        mgmt_frontend_image: str = f"{__registry__}/management_frontend:{__version__}",
        frontend_exporter_image: str = f"{__registry__}/frontend-exporter:{__version__}",
        cache_size: int = defaults.CACHE_SIZE,
        qf_http_thread_pool_size: int = 1,
        qf_http_timeout_request: float = defaults.REQUEST_TIMEOUT,
        qf_http_timeout_content: float = defaults.CONTENT_TIMEOUT,
        num_frontend_replicas: int = defaults.FRONTENDS,
    ) -> None:
        """Starts the cluster, connects to it and returns when both frontends answer.

        Of a cluster that was stopped with its state kept, or has died, settings that are not given stay as they were.

        Args:
            query_frontend_image: for managers that run images, as are the two that follow.
            mgmt_frontend_image: see above.
            frontend_exporter_image: see above.
            cache_size: bytes of the prediction cache; 0 turns it off.
            qf_http_thread_pool_size: threads that serve HTTP, where a frontend has threads.
            qf_http_timeout_request: seconds a client may take to send a request's head.
            qf_http_timeout_content: seconds a client may take to send a request's body.
            num_frontend_replicas: query frontends that share the query port.
        """
        try:
            self.cm.start_clipper(
                query_frontend_image,
                mgmt_frontend_image,
                frontend_exporter_image,
                cache_size,
                qf_http_thread_pool_size,
                qf_http_timeout_request,
                qf_http_timeout_content,
                num_frontend_replicas,
            )
            self._open(START_PATIENCE)
        except ClipperException as error:
            self.logger.error("Error starting Clipper: %s", error.msg)
            raise
        self.logger.info("Clipper is running")

    def connect(self) -> None:
        """Connects to the running cluster that the container manager names."""
        self.cm.connect()
        self._open(patience=0.0)
        self.logger.info("Successfully connected to Clipper cluster at %s", self.cm.get_query_addr())

    def close(self) -> None:
        """Ends the connection; the cluster runs on."""
        self._close()

    def stop_all(self, graceful: bool = True, keep_state: bool = False) -> None:
        """Stops the cluster and every model container; needs no connection.

        Args:
            graceful: let queries under way be answered first.
            keep_state: keep what is registered for the next ``start_clipper``.
        """
        self.cm.stop_all(graceful=graceful, keep_state=keep_state)
        self._close()
        self.logger.info("Stopped all Clipper cluster and all model containers")

    def set_num_frontend_replicas(self, num_frontend_replicas: int) -> None:
        """Adds query frontends to the running cluster, or drains and removes the youngest; the others serve on.

        Returns when every replica is connected to each of the added ones. Local clusters refuse, and say how else it
        is done.
        """
        _ = self.frontends
        self.cm.set_num_frontend_replicas(num_frontend_replicas)

    def get_query_addr(self) -> str:
        """``host:port`` of predict and update."""
        _ = self.frontends
        return self.cm.get_query_addr()

    def get_metric_addr(self) -> str:
        """``host:port`` of the metrics for Prometheus."""
        _ = self.frontends
        return self.cm.get_metric_addr()

    def inspect_instance(self) -> dict[str, Any]:
        """The query frontend's metrics."""
        metrics: dict[str, Any] = self.frontends.metrics()
        return metrics

    def get_clipper_logs(self, logging_dir: str = "clipper_logs/") -> list[str]:
        """Copies every log of the cluster into a directory; the paths written."""
        _ = self.frontends
        return self.cm.get_logs(logging_dir)

    def test_predict_function(self, query: Mapping[str, Any], func: Callable[[Any], Any], input_type: str) -> Any:
        """Calls ``func`` here, with what a model container would give it for ``query``; needs no cluster.

        Args:
            query: ``{"input": x}`` or ``{"input_batch": [x, ...]}``.
            func: the predict function.
            input_type: as for ``register_application``.

        Returns:
            What the function returns, or a sentence that begins "Invalid input type" if the query does not fit.
        """
        from clipper_admin.dry_run import try_function  # loads numpy

        return try_function(query, func, input_type)
