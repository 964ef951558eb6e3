"""A model directory -> an image that serves it, built by the Docker engine."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from clipper.container.manifest import read_manifest
from clipper_admin.exceptions import ClipperException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers.docker_engine import Engine, explained
from clipper_admin.managers.docker_parts import GPUS, MODEL
from clipper_admin.version import __registry__, __version__

CLOSURE: Final = "python{}-closure-container"
OTHER: Final = "{}{}-container"
_WORDS_SHOWN: Final = 40


def default_base(directory: Path) -> str:
    """The image of the framework of a model, for the Python of this session."""
    python = f"{sys.version_info.major}{sys.version_info.minor}"
    framework = read_manifest(directory).framework
    stem = OTHER.format(framework, python) if framework else CLOSURE.format(python)
    return f"{__registry__}/{stem}:{__version__}"


def build(
    engine: Engine,
    labels: dict[str, str],
    tag: str,
    directory: Path,
    base_image: str,
    packages: Sequence[str],
    logger: ClusterLogger,
) -> None:
    """Builds ``tag`` of the model's files.

    Raises:
        ClipperException: what the engine says, with the last lines of the build.
    """
    base = default_base(directory) if base_image == "default" else base_image
    labels = {**labels, GPUS: ",".join(read_manifest(directory).gpus)}
    context = _context(directory, _dockerfile(base, packages))
    with explained(f"build {tag} from {base}", base):
        steps = engine.client.api.build(
            fileobj=context, custom_context=True, tag=tag, labels=labels, rm=True, decode=True
        )
        _follow(steps, f"The image {tag} could not be built from {base}", logger)


def push(engine: Engine, tag: str, logger: ClusterLogger) -> None:
    """Raises ClipperException if the registry does not take it."""
    logger.info("Pushing model Docker image to %s", tag)
    with explained(f"push {tag}", tag):
        _follow(
            engine.client.images.push(tag, stream=True, decode=True), f"The image {tag} could not be pushed", logger
        )


def remove_images(engine: Engine, model: str | None = None) -> None:
    """Those built for a model version, ``<name>_<version>``, or for all of the cluster.

    One that a container still has stays.
    """
    import docker

    with explained("remove the images of models"):
        for image in engine.images({MODEL: model}):
            for tag in image.tags or [image.id]:
                with contextlib.suppress(docker.errors.APIError):
                    engine.client.images.remove(tag)


def _dockerfile(base: str, packages: Sequence[str]) -> str:
    """Packages are arguments of pip, not of a shell, and are installed by root, as the base was."""
    lines = [f"FROM {base}"]
    if packages:
        lines += ["USER root", "RUN " + json.dumps(["python", "-m", "pip", "install", "--no-cache-dir", *packages])]
        lines += ["USER clipper"]
    return "\n".join([*lines, "COPY model /model/", ""])


def _context(directory: Path, dockerfile: str) -> io.BytesIO:
    """A tar of both; the files may be read by every user, for the container's is another."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(directory, "model", filter=_readable)
        data = dockerfile.encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    archive.seek(0)
    return archive


def _readable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode |= 0o755 if entry.isdir() else 0o644
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _follow(steps: Iterator[dict[str, Any]], failed: str, logger: ClusterLogger) -> None:
    """Logs what the engine says as it says it."""
    said: list[str] = []
    for step in steps:
        text = str(step.get("stream") or step.get("status") or "").strip()
        if text:
            said = [*said[1 - _WORDS_SHOWN :], text]
            logger.log(logging.INFO if text.startswith(("Step ", "Successfully ")) else logging.DEBUG, text)
        if "error" in step:
            words = "\n".join(said[-_WORDS_SHOWN:])
            raise ClipperException(f"{failed}: {str(step['error']).strip()}\n{words}")
