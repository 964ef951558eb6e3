"""A model directory -> an image that serves it, built by the Docker engine."""

from __future__ import annotations

import io
import json
import logging
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from clipper.container.manifest import FILE as MANIFEST
from clipper.container.manifest import read_manifest
from clipper_admin.exceptions import ClipperException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers.docker_checks import image_name
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_errors import explained
from clipper_admin.managers.docker_images import check_tag, is_clippers, starts
from clipper_admin.managers.docker_parts import ANOTHER, GPUS, MODEL
from clipper_admin.version import __registry__, __version__

STEMS: Final = {"": "python{}-closure-container", "tensorflow": "tf{}-container"}
"""Images that are not called after their framework, as the original has them."""
RUNTIME: Final = "clipper-container.pyz"
_WORDS_SHOWN: Final = 40


def base_name(framework: str, python: str) -> str:
    """The image of a framework (empty for a function alone) for a Python such as ``3.11``."""
    stem = STEMS.get(framework, framework + "{}-container").format(python.replace(".", ""))
    return f"{__registry__}/{stem}:{__version__}"


def default_base(directory: Path) -> str:
    """The image of the framework of a model, for the Python of this session.

    Raises:
        ClipperException: the model is in another language, for which there is none.
    """
    manifest = read_manifest(directory)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if manifest.command:
        raise ClipperException(
            f"There is no image for models that {manifest.command[0]} runs: make one from "
            f"{base_name('', python)} with that installed, and name it with base_image="
        )
    return base_name(manifest.framework, python)


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
        ClipperException: the tag is another cluster's; or ``check_base`` does; or what the engine says, with the last
            lines of the build.
    """
    check_tag(engine, tag, labels[MODEL])
    base = default_base(directory) if base_image == "default" else image_name("base_image", base_image)
    labels = {**labels, GPUS: ",".join(read_manifest(directory).gpus)}
    context = _context(directory, _dockerfile(base, packages))
    remedy = f"{ANOTHER} with base_image="
    check_base(engine.image(base, remedy), base, directory)
    with explained(f"build {tag} from {base}", base, remedy):
        steps = engine.client.api.build(
            fileobj=context, custom_context=True, tag=tag, labels=labels, rm=True, forcerm=True, decode=True
        )
        _follow(steps, f"The image {tag} could not be built from {base}", logger)


def check_base(image: Any, base: str, directory: Path) -> None:
    """Looks whether what is built from an image can serve the model: deploys would wait for it until they give up.

    Raises:
        ClipperException: it starts nothing; or one of Clipper's deployers has saved the model, which only Clipper's
            runtime of containers can load, and nothing in the image tells of that.
    """
    config = image.attrs.get("Config") or {}
    started = starts(config)
    ours = f"make it FROM {base_name('', f'{sys.version_info.major}.{sys.version_info.minor}')}, or one like that"
    if not started:
        raise ClipperException(
            f"The image {base} has neither ENTRYPOINT nor CMD, so that a container from it would start nothing: "
            f"{ours}, or give it the ENTRYPOINT of a container of yours"
        )
    is_told = any(each.startswith("CLIPPER_") for each in config.get("Env") or ())
    if (directory / MANIFEST).is_file() and not is_clippers(started) and not is_told:
        raise ClipperException(
            f"The image {base} has no runtime of model containers: it starts {' '.join(started)!r}, which is not "
            f"Clipper's, and could not load the model. For a base_image, {ours}. If what it starts does run "
            f"{RUNTIME}, say so there with ENV CLIPPER_MODEL_PATH=/model"
        )


def push(engine: Engine, tag: str, logger: ClusterLogger) -> None:
    """Raises ClipperException if the registry does not take it."""
    logger.info("Pushing model Docker image to %s", tag)
    with explained(f"push {tag}", tag):
        _follow(
            engine.client.images.push(tag, stream=True, decode=True), f"The image {tag} could not be pushed", logger
        )


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
        _add(tar, "Dockerfile", dockerfile)
        if (directory / MANIFEST).is_file():  # the later one counts
            _add(tar, f"model/{MANIFEST}", _without_gpus(directory / MANIFEST))
    archive.seek(0)
    return archive


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))


def _without_gpus(manifest: Path) -> str:
    """A replica in Docker sees no device but its own, whatever number that has outside: there is none to choose."""
    return json.dumps({**json.loads(manifest.read_text(encoding="utf-8")), "gpus": []})


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
