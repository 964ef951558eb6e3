"""The replicas of a model version in Docker: adding some, removing some, waiting for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clipper_admin.log import ClusterLogger
from clipper_admin.managers import docker_parts, waiting
from clipper_admin.managers.docker_cluster import DockerCluster
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_images import image_of
from clipper_admin.managers.docker_parts import GPUS, MODEL, REPLICA, Part
from clipper_admin.managers.docker_waiting import wait_for
from clipper_admin.managers.programs import ReplicaId
from clipper_admin.managers.steps import step


@dataclass(frozen=True, slots=True)
class Scaling:
    """One model version of a running cluster."""

    engine: Engine
    cluster: DockerCluster
    logger: ClusterLogger
    name: str
    version: str
    timeout: float

    def replicas(self) -> list[Any]:
        """The containers, oldest first; those that end are started again by the engine, and count."""
        found = self.engine.containers({MODEL: f"{self.name}_{self.version}"})
        return sorted(found, key=number_of)

    def set_count(self, image: str, input_type: str, count: int, wait_for_all: bool) -> None:
        """Adds replicas and waits for the first, or with ``wait_for_all`` for all; or removes the youngest."""
        current = self.replicas()
        surplus, missing = current[count:], count - len(current)
        if surplus:
            self._say("Found %d replicas for %s:%s. Removing %d", len(current), len(surplus))
            self.engine.remove(surplus, graceful=True)
        elif missing > 0:
            self._say("Found %d replicas for %s:%s. Adding %d", len(current), missing)
            self.add(image, input_type, missing, missing if wait_for_all else 1)

    def _say(self, words: str, current: int, change: int) -> None:
        self.logger.info(words, current, self.name, self.version, change)

    def add(self, image: str, input_type: str, count: int, needed: int) -> None:
        """Starts ``count`` more; returns when ``needed`` of them are connected to every query frontend.

        Raises:
            ClipperException: one ended before, or they were not ready in time; none of them is left. Or
                there is no image, or it is another cluster's.
        """
        first = max((number_of(each) for each in self.replicas()), default=-1) + 1
        found = image_of(self.engine, image, self.name, self.version)
        added: list[Any] = []
        try:
            for number in range(first, first + count):
                replica = ReplicaId(self.name, self.version, number)
                part = _part(self.engine, replica, input_type, image, found, self.cluster.log)
                added.append(self.engine.start(part))
            what = "replica" if needed == 1 else f"{needed} replicas"
            with step(self.logger, f"Waiting for {what} of {self.name}:{self.version} to be ready"):
                self._wait(added, needed)
        except BaseException:
            self.engine.remove(added, graceful=False)
            raise

    def _wait(self, added: Sequence[Any], needed: int) -> None:
        wait_for(added, lambda: self._missing(added, needed), self.timeout, f"Model {self.name}:{self.version}")

    def _missing(self, added: Sequence[Any], needed: int) -> str:
        connected = waiting.connected_replicas(self.cluster.admin_address, self.cluster.frontends)
        if isinstance(connected, str):
            return connected
        # The oldest: it is the last to be removed, so that to remove others leaves one that serves.
        oldest = {ReplicaId(self.name, self.version, number_of(each)) for each in added[:needed]}
        count = len(connected & oldest)
        return "" if count >= needed else f"{count} of {needed} replicas are connected to the query frontends"


def number_of(container: Any) -> int:
    return int(container.labels.get(REPLICA, 0))


def anew(engine: Engine, container: Any, log: tuple[str, str]) -> Part:
    """A replica as ``container`` is one, with what is given to those that are started now.

    Raises:
        ClipperException: its image is gone, or its name is another cluster's by now.
    """
    config = container.attrs["Config"]
    name, _, version = container.labels[MODEL].partition("_")
    found = image_of(engine, config["Image"], name, version)
    replica = ReplicaId(name, version, number_of(container))
    return _part(engine, replica, _environment(container)["CLIPPER_INPUT_TYPE"], config["Image"], found, log)


def log_of(container: Any) -> tuple[str, str]:
    """The level and the format of a replica's log."""
    environment = _environment(container)
    return environment.get("CLIPPER_LOG_LEVEL", ""), environment.get("CLIPPER_LOG_FORMAT", "")


def _environment(container: Any) -> dict[str, str]:
    return dict(each.partition("=")[::2] for each in container.attrs["Config"]["Env"])


def _part(engine: Engine, replica: ReplicaId, input_type: str, tag: str, image: Any, log: tuple[str, str]) -> Part:
    source = tag if tag in image.tags else image.id  # the tag says more, as long as it is this one's
    return docker_parts.replica(engine.cluster, replica, input_type, source, str(image.labels.get(GPUS, "")), log)
