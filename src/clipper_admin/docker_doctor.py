"""What a cluster in Docker needs, looked at one by one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from clipper_admin.doctor import DISTRIBUTION, Finding, check_packages, check_python
from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.docker_build import base_name
from clipper_admin.managers.docker_cluster import running_clusters
from clipper_admin.managers.docker_engine import Engine, is_made_here
from clipper_admin.managers.docker_errors import explained
from clipper_admin.managers.docker_start import prometheus_image, redis_image
from clipper_admin.managers.ports import holder
from clipper_admin.open_ports import is_free
from clipper_admin.version import __registry__, __version__

LEAST_MEMORY_BYTES: Final = 1 << 30


def examine(ports: Mapping[str, int]) -> list[Finding]:
    """All findings, for the engine, images and ``ports`` (by purpose) that a cluster would be started with."""
    sdk = check_sdk()
    found = [check_python(), *check_packages(importlib.metadata.requires(DISTRIBUTION) or []), sdk]
    if not sdk.ok:
        return found
    engine = Engine("", "localhost", "", {})
    try:
        found.append(check_engine(engine.client))
        found += check_images(engine)
        found += check_ports(ports)
        found += [Finding(f"cluster {name}", True, "running") for name in running_clusters(engine)]
    except ClipperException as error:
        advice = "start one (`dockerd`, or your system's service), or name the machine of another with DOCKER_HOST"
        found.append(Finding("engine", False, error.msg, advice))
    return found


def check_sdk() -> Finding:
    if importlib.util.find_spec("docker") is None:
        advice = f"{sys.executable} -m pip install 'clipper-serving[docker]'"
        return Finding("package docker", False, "not installed", advice)
    return Finding("package docker", True, importlib.metadata.version("docker"))


def check_engine(client: Any) -> Finding:
    """Its version, place and memory."""
    with explained("tell about itself"):
        about = client.info()
    memory = int(about["MemTotal"])
    finding = f"Docker {about['ServerVersion']} at {client.api.base_url}, with {memory / (1 << 30):.1f} GiB of memory"
    if memory < LEAST_MEMORY_BYTES:
        return Finding(
            "engine", False, finding, "give it 1 GiB at least: a cluster takes half of that, without models"
        )
    return Finding("engine", True, finding)


def check_images(engine: Engine) -> Iterator[Finding]:
    """Those of the servers, of models of plain Python, of Redis and Prometheus."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    own = [f"{__registry__}/{each}_frontend:{__version__}" for each in ("query", "management")]
    for image in [*own, base_name("", python), redis_image(), prometheus_image()]:
        if image is None:
            continue
        if _is_there(engine, image):
            yield Finding(f"image {image}", True, "there")
        elif is_made_here(image):
            yield Finding(f"image {image}", False, "not there", "`make images` in Clipper's sources makes it")
        else:
            yield Finding(f"image {image}", True, "not there: it is pulled when it is needed")


def check_ports(ports: Mapping[str, int]) -> Iterator[Finding]:
    """They are wishes in Docker: no problem if they are taken."""
    for purpose, port in ports.items():
        finding = "free" if is_free(port) else f"held by {holder(port)}: another one would be taken"
        yield Finding(f"{purpose} port {port}", True, "any free one" if port == 0 else finding)


def _is_there(engine: Engine, image: str) -> bool:
    import docker

    with explained(f"look at the image {image}"):
        try:
            engine.client.images.get(image)
        except docker.errors.ImageNotFound:
            return False
        return True
