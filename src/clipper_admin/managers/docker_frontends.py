"""The query frontends of a running cluster in Docker: adding some, removing some, while it serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers import docker_parts, waiting
from clipper_admin.managers.docker_cluster import in_order, number_of
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_parts import FRONTEND, QUERY_FRONTEND, QUERY_PORT, Servers
from clipper_admin.managers.docker_ports import Ports
from clipper_admin.managers.docker_waiting import wait_for
from clipper_admin.managers.programs import ReplicaId
from clipper_admin.managers.settings import ServerSettings
from clipper_admin.managers.steps import step

JOIN_TIMEOUT: Final = 60.0
"""Replicas look for new frontends every ten seconds."""


@dataclass(frozen=True, slots=True)
class FrontendScaling:
    """The frontends of one running cluster."""

    engine: Engine
    admin_address: str
    logger: ClusterLogger

    def set_count(self, count: int) -> None:
        """Adds frontends, or drains and removes the youngest; the others are not touched.

        Returns when each of the added ones answers, and has a connection of every replica that the others have.

        Raises:
            ClipperException: one ended before, or was not ready in time; none of the added ones is left.
        """
        current = in_order(self.engine.containers({QUERY_FRONTEND: None}))
        surplus, missing = current[count:], count - len(current)
        if surplus:
            self.logger.info("Found %d query frontends. Removing %d", len(current), len(surplus))
            self.engine.remove(surplus, graceful=True)
        elif missing > 0:
            self.logger.info("Found %d query frontends. Adding %d", len(current), missing)
            self._add(current, missing)

    def _add(self, current: Sequence[Any], count: int) -> None:
        pattern, first = current[0].attrs["Config"], number_of(current[-1]) + 1
        servers = servers_of(self.engine.cluster, pattern["Cmd"])
        ports = Ports(self.engine)
        added: list[Any] = []
        try:
            for number in range(first, first + count):
                make = partial(docker_parts.query_frontend, servers, pattern["Image"], number)
                added.append(ports.start(make, ports.choose(0), ports.choose(0)))
            with step(self.logger, "Waiting for every replica to be connected to them"):
                others = [each.labels[FRONTEND] for each in current]
                wait_for(added, lambda: self._missing(added, others), JOIN_TIMEOUT, "A query frontend")
        except BaseException:
            self.engine.remove(added, graceful=False)
            raise

    def _missing(self, added: Sequence[Any], others: Sequence[str]) -> str:
        for each in added:
            address = f"{self.engine.host}:{each.labels[QUERY_PORT]}"
            if missing := waiting.get(address, "/health/ready"):
                return f"the query frontend at {address}: {missing}"
        wanted = self._connected(others)
        found = self._connected([*others, *(each.labels[FRONTEND] for each in added)])
        if isinstance(wanted, str) or isinstance(found, str):
            return wanted if isinstance(wanted, str) else str(found)
        return ", ".join(sorted(f"{each.program} is not connected" for each in wanted - found))

    def _connected(self, frontends: Iterable[str]) -> set[ReplicaId] | str:
        return waiting.connected_replicas(self.admin_address, frontends)


def servers_of(cluster: str, command: Sequence[str]) -> Servers:
    """With what a query frontend was started, of the command of its container.

    Raises:
        ClipperException: it is not the command of ``docker_parts.query_frontend``.
    """
    flags: Mapping[str, str] = dict(each.removeprefix("--").partition("=")[::2] for each in command)
    try:
        settings = ServerSettings(
            cache_size=int(flags["cache-bytes"]),
            request_timeout=float(flags["request-timeout"]),
            content_timeout=float(flags["content-timeout"]),
            frontends=1,
        )
        return Servers(cluster, flags["store"], settings, (flags["log-level"], flags["log-format"]))
    except (KeyError, ValueError) as error:
        raise ClipperException(
            f"The query frontends of cluster {cluster} were started by another version of Clipper ({error!r} in "
            f"{' '.join(command)}): stop_all(keep_state=True), then start_clipper(num_frontend_replicas=...)"
        ) from error
