"""The replicas of a model version in Docker: adding some, removing some, waiting for them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers import docker_parts, waiting
from clipper_admin.managers.docker_engine import Engine, explained, tail
from clipper_admin.managers.docker_parts import GPUS, MODEL, REPLICA
from clipper_admin.managers.programs import ReplicaId
from clipper_admin.managers.steps import step

POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Scaling:
    """One model version of a running cluster. ``frontends``: names of those that replicas must be connected to."""

    engine: Engine
    cluster: str
    admin_address: str
    frontends: tuple[str, ...]
    logger: ClusterLogger
    name: str
    version: str
    timeout: float

    def replicas(self) -> list[Any]:
        """The containers, oldest first; those that end are started again by the engine, and count."""
        found = self.engine.containers({MODEL: f"{self.name}_{self.version}"})
        return sorted(found, key=number_of)

    def add(self, image: str, input_type: str, count: int, needed: int) -> None:
        """Starts ``count`` more; returns when ``needed`` of them are connected to every query frontend.

        Raises:
            ClipperException: one ended before, or they were not ready in time; none of them is left.
        """
        first = max((number_of(each) for each in self.replicas()), default=-1) + 1
        gpus = self._gpus(image)
        added: list[Any] = []
        try:
            for number in range(first, first + count):
                part = docker_parts.replica(self.cluster, self.name, self.version, number, input_type, image, gpus)
                added.append(self.engine.start(part))
            what = "replica" if needed == 1 else f"{needed} replicas"
            with step(self.logger, f"Waiting for {what} of {self.name}:{self.version} to be ready"):
                self._wait(added, needed)
        except BaseException:
            self.engine.remove(added, graceful=False)
            raise

    def _gpus(self, image: str) -> str:
        with explained(f"look at the image {image}", image):
            labels = self.engine.client.images.get(image).labels
        return str(labels.get(GPUS, ""))

    def _wait(self, added: Sequence[Any], needed: int) -> None:
        wait_for(added, lambda: self._missing(added, needed), self.timeout, f"Model {self.name}:{self.version}")

    def _missing(self, added: Sequence[Any], needed: int) -> str:
        connected = waiting.connected_replicas(self.admin_address, self.frontends)
        if isinstance(connected, str):
            return connected
        ours = {ReplicaId(self.name, self.version, number_of(each)) for each in added}
        count = len(connected & ours)
        return "" if count >= needed else f"{count} of {needed} replicas are connected to the query frontends"


def number_of(container: Any) -> int:
    return int(container.labels.get(REPLICA, 0))


def wait_for(containers: Sequence[Any], missing: Callable[[], str], timeout: float, what: str) -> None:
    """Returns once ``missing`` has nothing left to name.

    Raises:
        ClipperException: a container ended, or the time is over; with its last log lines.
    """
    deadline = time.monotonic() + timeout
    while still_missing := missing():
        for each in containers:
            if ending := _ending(each):
                raise ClipperException(f"{what} failed to start: the container {each.name} {ending}. {_log_of(each)}")
        if time.monotonic() > deadline:
            late = "".join(f"\n{each.name}: {_log_of(each)}" for each in containers)
            raise ClipperException(f"{what} was not ready after {timeout:g} s ({still_missing}).{late}")
        time.sleep(POLL_SECONDS)


def _ending(container: Any) -> str:
    """How a container ended, or was started again after it had; empty if it runs."""
    with explained(f"look at the container {container.name}"):
        container.reload()
    state = container.attrs["State"]
    if state["Status"] in ("created", "running") and not container.attrs.get("RestartCount"):
        return ""
    if state.get("OOMKilled"):
        return "ran out of memory: give it more, or make the model smaller"
    if state["Status"] == "running":
        return "ended, and was started again"
    return f"ended with exit code {state['ExitCode']}"


def _log_of(container: Any) -> str:
    words = tail(container)
    advice = ""
    if absent := re.findall(r"(?m)^(?:ModuleNotFoundError|ImportError).*?'([\w.]+)'", words):
        advice = f"\nThe image has no {absent[-1]!r}: deploy with pkgs_to_install=[...], or another base_image."
    return "Its log is empty." if not words else "The end of its log:\n" + re.sub("(?m)^", "    ", words) + advice
