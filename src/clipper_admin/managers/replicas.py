"""The replicas of a cluster's models: which there are, adding some, removing some."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from clipper_admin.exceptions import ClipperException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers import logs, ports, waiting
from clipper_admin.managers.folders import Cluster, ClusterFolder, disk_errors, locked, write_atomically
from clipper_admin.managers.images import Image
from clipper_admin.managers.lifecycle import configured_programs, control, write_program
from clipper_admin.managers.programs import ReplicaId, frontend_name, parse_replica, replica_program
from clipper_admin.managers.steps import step

DEPLOY_PATIENCE = 30.0
SCALING = "Replicas of model {}:{} are being added or removed by another session: try again when that is done"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model version of a running cluster, to be scaled."""

    folder: ClusterFolder
    cluster: Cluster
    logger: ClusterLogger
    name: str
    version: str

    def replicas(self) -> list[ReplicaId]:
        return configured_replicas(self.folder, self.name, self.version)

    def add(self, image: Image, count: int, needed: int, timeout: float, environ: Mapping[str, str]) -> None:
        """Starts ``count`` more replicas; returns when ``needed`` of them are connected to every query frontend.

        Raises:
            ClipperException: one ended before, or they were not ready in time; none of them is left.
        """
        added = self._reserve(count)
        try:
            for replica in added:
                write_program(self.folder, replica_program(self.folder, self.cluster, replica, image, environ))
            control(self.folder).add([replica.program for replica in added])
            what = "replica" if needed == 1 else f"{needed} replicas"
            with step(self.logger, f"Waiting for {what} of {self.name}:{self.version} to be ready"):
                self._wait(added, image, needed, timeout)
        except BaseException:
            self._take_back(added)
            raise

    def _take_back(self, added: Sequence[ReplicaId]) -> None:
        try:
            remove_replicas(self.folder, added, kill=True)
        except ClipperException as error:  # must not hide what went wrong before
            self.logger.warning("Replicas of %s:%s could not be removed: %s", self.name, self.version, error)

    def _wait(self, added: Sequence[ReplicaId], image: Image, needed: int, timeout: float) -> None:
        supervisor = control(self.folder)
        replicas = {replica.program: replica for replica in added}
        try:
            waiting.wait_until_ready(supervisor, list(replicas), lambda: self._missing(added, needed), timeout)
        except waiting.Ended as end:
            raise waiting.replica_failure(self.folder, replicas[end.program], image.interpreter) from None
        except waiting.Overdue as late:
            unready = next((each for each in added if each not in self._connected_now()), added[0])
            raise waiting.replica_timeout(self.folder, supervisor, unready, late.missing, timeout) from None

    def _missing(self, added: Sequence[ReplicaId], needed: int) -> str:
        connected = self._connected()
        if isinstance(connected, str):
            return connected
        # The oldest: it is the last to be removed, so that to remove others leaves one that serves.
        count = len(connected.intersection(added[:needed]))
        return "" if count >= needed else f"{count} of {needed} replicas are connected to the query frontends"

    def _connected_now(self) -> set[ReplicaId]:
        connected = self._connected()
        return set() if isinstance(connected, str) else connected

    def _connected(self) -> set[ReplicaId] | str:
        admin_address = ports.address(self.cluster.host, self.cluster.management_port)
        return waiting.connected_replicas(admin_address, map(frontend_name, range(self.cluster.frontends)))

    def _reserve(self, count: int) -> list[ReplicaId]:
        """Numbers that no replica of this version has had in the life of the cluster."""
        file = self.folder.replica_ids / f"{self.name}_{self.version}"
        with locked(file.with_suffix(".lock"), 10, "Another session is deploying the same model version"):
            first = int(file.read_text()) if file.exists() else 0
            write_atomically(file, str(first + count))
        return [ReplicaId(self.name, self.version, first + each) for each in range(count)]


@contextlib.contextmanager
def deploying(folder: ClusterFolder, name: str, version: str) -> Iterator[None]:
    """Keeps other sessions from building or deploying this version.

    Raises:
        ClipperException: one is still at it after ``DEPLOY_PATIENCE`` seconds.
    """
    busy = (
        f"Model {name}:{version} is being deployed by another session: wait until that is done, or deploy this one "
        "as another version"
    )
    with disk_errors(f"deploy model {name}:{version}", folder.path):
        folder.create()
    with locked(folder.replica_ids / f"{name}_{version}.deploying", DEPLOY_PATIENCE, busy):
        yield


def scaling(folder: ClusterFolder, name: str, version: str) -> AbstractContextManager[None]:
    """Keeps other sessions from counting the replicas of this version while some are added or removed.

    Not ``deploying``, which deploys hold meanwhile, and which does not nest.

    Raises:
        ClipperException: one is still at it after ``DEPLOY_PATIENCE`` seconds.
    """
    return locked(folder.replica_ids / f"{name}_{version}.scaling", DEPLOY_PATIENCE, SCALING.format(name, version))


def all_replicas(folder: ClusterFolder) -> list[ReplicaId]:
    """The replicas that are to run, of every model version."""
    return [each for program in configured_programs(folder) if (each := parse_replica(program))]


def configured_replicas(folder: ClusterFolder, name: str, version: str) -> list[ReplicaId]:
    """The replicas of a model version that are to run, oldest first."""
    return sorted(each for each in all_replicas(folder) if (each.model, each.version) == (name, version))


def known_versions(folder: ClusterFolder) -> dict[str, list[str]]:
    """The versions of each model that have replicas or an image here."""
    found = {(each.model, each.version) for each in all_replicas(folder)}
    found |= {(note.parent.parent.name, note.parent.name) for note in folder.models.glob("*/*/image.json")}
    versions: dict[str, list[str]] = {}
    for name, version in sorted(found):
        versions.setdefault(name, []).append(version)
    return versions


def remove_replicas(folder: ClusterFolder, replicas: Sequence[ReplicaId], kill: bool = False) -> None:
    """Stops replicas, with time to drain unless ``kill``, and sees that nothing starts them again."""
    for replica in replicas:
        with contextlib.suppress(FileNotFoundError):
            (folder.programs / f"{replica.program}.conf").unlink()
    control(folder).remove([replica.program for replica in replicas], kill)
    logs.prune_logs(folder, configured_programs(folder))
