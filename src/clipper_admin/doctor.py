"""What Clipper needs of a machine, looked at one by one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers import processes
from clipper_admin.managers.folders import ClusterFolder
from clipper_admin.managers.lifecycle import control_socket
from clipper_admin.managers.local import LocalContainerManager, running_clusters
from clipper_admin.managers.ports import holder
from clipper_admin.open_ports import is_free

DISTRIBUTION: Final = "clipper-serving"
LEAST_PYTHON: Final = (3, 11)
LEAST_DISK_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """``advice`` is what to do; there is none if it is ``ok``."""

    subject: str
    ok: bool
    finding: str
    advice: str = ""


def _found(subject: str, ok: bool, finding: str, advice: str) -> Finding:
    return Finding(subject, ok, finding, "" if ok else advice)


def examine(manager: LocalContainerManager, ports: Mapping[str, int]) -> list[Finding]:
    """All findings, for the cluster of ``manager``, the ports it would be started on, and the home it is in."""
    return [
        check_python(),
        *check_packages(importlib.metadata.requires(DISTRIBUTION) or []),
        check_servers(_servers()),
        *check_ports(ports, _ports_of(manager)),
        check_home(manager.home),
        check_disk(manager.home),
        check_sockets(manager.home / "clusters" / manager.cluster_identifier),
        *check_clusters(manager.home),
    ]


def check_python(version: Sequence[int] = sys.version_info[:3]) -> Finding:
    least = ".".join(map(str, LEAST_PYTHON))
    advice = f"install Python {least} or later, and Clipper in it"
    finding = f"{platform.python_implementation()} {'.'.join(map(str, version))} at {sys.executable}"
    return _found("python", tuple(version[:2]) >= LEAST_PYTHON, finding, advice)


def check_packages(requirements: list[str]) -> Iterator[Finding]:
    """One finding for all that are there, and one for each that is not."""
    present = []
    for requirement in requirements:
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            present.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            advice = f"{sys.executable} -m pip install '{requirement}'"
            yield Finding(f"package {name}", False, "not installed", advice)
    yield Finding("packages", True, ", ".join(present))


def check_servers(folder: Path) -> Finding:
    """Whether the hot path of the servers in this folder was compiled; they work either way."""
    if list(folder.glob("query.*.so")):
        return Finding("servers", True, "compiled")
    return Finding("servers", True, "not compiled: they work, and take about twice the time for a query")


def check_ports(ports: Mapping[str, int], own: set[int]) -> Iterator[Finding]:
    """One finding for each of ``ports``, by their purposes; ``own`` are those that the cluster holds."""
    for purpose, port in ports.items():
        subject = f"{purpose} port {port}"
        if port == 0:
            yield Finding(f"{purpose} port", True, "any free one")
        elif port in own:
            yield Finding(subject, True, "this cluster's")
        elif is_free(port):
            yield Finding(subject, True, "free")
        else:
            advice = f"stop what holds it, or `clipper start --{purpose}-port 0`"
            yield Finding(subject, False, f"held by {holder(port)}", advice)


def check_home(home: Path) -> Finding:
    advice = f"make {home} writable for you, or choose another folder with --home or CLIPPER_HOME"
    try:
        with tempfile.TemporaryFile(dir=_existing(home)) as file:
            file.write(b"clipper")
    except OSError as error:
        return Finding("home", False, f"{home} can't be written: {error}", advice)
    return Finding("home", True, f"{home} is writable")


def check_disk(home: Path) -> Finding:
    free = shutil.disk_usage(_existing(home)).free
    advice = f"free some space there ({LEAST_DISK_BYTES >> 30} GiB at least), or choose another folder with --home"
    return _found("disk", free >= LEAST_DISK_BYTES, f"{free / (1 << 30):.1f} GiB free at {home}", advice)


def check_sockets(cluster: Path) -> Finding:
    """The path of a Unix socket is limited; a folder deep down makes Clipper put its sockets elsewhere."""
    sockets = ClusterFolder(cluster).sockets()
    advice = f"make {sockets.parent} writable for you, or choose a shorter path with --home"
    try:
        with tempfile.TemporaryFile(dir=_existing(sockets)):
            return Finding("sockets", True, f"in {sockets}")
    except OSError as error:
        return Finding("sockets", False, f"{sockets} can't be written: {error}", advice)


def check_clusters(home: Path) -> Iterator[Finding]:
    """Those that run, those that were stopped with their state kept, and those that have died."""
    running = running_clusters(home)
    for folder in sorted(home.glob("clusters/*/cluster.json")):
        name = folder.parent.name
        cluster = ClusterFolder(folder.parent).read()
        if name in running:
            yield Finding(f"cluster {name}", True, "running")
        elif cluster is not None and processes.children(control_socket(cluster.sockets)):
            advice = f"`clipper start --cluster {name}` takes it up again, `clipper stop --cluster {name}` removes it"
            yield Finding(f"cluster {name}", False, "its supervisor has died, processes of it still run", advice)
        else:
            yield Finding(f"cluster {name}", True, f"stopped; `clipper start --cluster {name}` takes it up again")


def _servers() -> Path:
    """Where they are installed: looked up, not imported."""
    spec = importlib.util.find_spec("clipper")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


def _ports_of(manager: LocalContainerManager) -> set[int]:
    try:
        manager.connect()
    except ClipperException:
        return set()
    cluster = ClusterFolder(manager.home / "clusters" / manager.cluster_identifier).read()
    return {cluster.query_port, cluster.management_port, cluster.rpc_port} if cluster else set()


def _existing(path: Path) -> Path:
    """The nearest folder above that is there already."""
    return next(each for each in (path, *path.parents) if each.exists())
