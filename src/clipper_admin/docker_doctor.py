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
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_errors import explained
from clipper_admin.managers.docker_names import is_made_here, missing_remedy
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
    engine = Engine("", "localhost", "")
    found += check_ports(ports)
    try:
        found.append(check_engine(engine.client))
        found += check_images(engine)
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
        return Finding("engine", False, finding, "give it 1 GiB at least, and what models take besides")
    return Finding("engine", True, finding)


def check_images(engine: Engine) -> Iterator[Finding]:
    """Those of the servers, of models of plain Python, of Redis and Prometheus."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    own = [f"{__registry__}/{each}_frontend:{__version__}" for each in ("query", "management")]
    yield from (_check_image(engine, image, "CLIPPER_REGISTRY") for image in [*own, base_name("", python)])
    yield _check_image(engine, redis_image(), "CLIPPER_REDIS_IMAGE")
    if prometheus := prometheus_image():
        yield _check_image(engine, prometheus, "CLIPPER_PROMETHEUS_IMAGE")


def _check_image(engine: Engine, image: str, variable: str) -> Finding:
    """``variable``: where another is named."""
    subject, remedy = f"image {image}", f"name another with {variable}"
    try:
        found = engine.find_image(image, remedy)
    except ClipperException as error:
        return Finding(subject, False, error.msg, f"correct the name, or {remedy}")
    if found is not None:
        return Finding(subject, True, "there")
    if not is_made_here(image):
        return Finding(subject, True, "not there: it is pulled when it is needed")
    advice = missing_remedy(image, remedy)
    return Finding(subject, False, "not there", advice[0].lower() + advice[1:])


def check_ports(ports: Mapping[str, int]) -> Iterator[Finding]:
    """They are wishes in Docker: no problem if they are taken."""
    for purpose, port in ports.items():
        finding = "free" if is_free(port) else f"held by {holder(port)}: another one would be taken"
        yield Finding(f"{purpose} port {port}", True, "any free one" if port == 0 else finding)
