"""What the deployers of all frameworks share: a directory with the model, its note, and the user's function."""

from __future__ import annotations

import base64
import dataclasses
import difflib
import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from clipper.container.manifest import FILE, Manifest
from clipper_admin import limits
from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import endpoint, interpreter
from clipper_admin.deployers.closure import save_function, temporary_directory
from clipper_admin.exceptions import ClipperException
from clipper_admin.log import SessionLogger
from clipper_admin.names import canonical_input_type, version_text

logger = SessionLogger(logging.getLogger(__name__))


class Extras(TypedDict, total=False):
    """What every ``deploy_*`` and ``create_endpoint`` takes by keyword.

    ``sample``: one input that the model must answer before it serves. ``per_item``: the function takes one input at a
    time; one call for a whole batch is often many times faster. ``threads``: of each replica's numeric libraries (1
    if not given; ``*_NUM_THREADS`` in the session's environment count more). ``memory_bytes``: what a replica may
    allocate. ``gpus``: devices that the replicas take in turns, such as ``["0", "1"]``. ``requirements``: a file of
    packages for an environment of the model's own. ``python_version``: of it, such as ``"3.12"``.
    """

    sample: object
    per_item: bool
    threads: int
    memory_bytes: int
    gpus: Sequence[str | int] | None
    requirements: str | os.PathLike[str] | None
    python_version: str | None


class Options(Extras, total=False):
    """As ``Extras``, with those that ``deploy_python_closure`` explains."""

    base_image: str
    labels: Sequence[str] | None
    registry: str | None
    num_replicas: int
    batch_size: int
    pkgs_to_install: Sequence[str] | None
    batching: str
    batch_delay_micros: int


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """A model of a framework, ready to be put into a directory.

    ``framework``: the module of ``clipper.container.frameworks`` that loads it; empty for a function alone.
    ``func``: the user's function, called with ``arguments``, or None if the model answers by itself. ``save`` writes
    the model's files. ``command`` and ``needs_tcp``: of a container in another language, see ``Manifest``.
    """

    framework: str
    func: Callable[..., Any] | None
    save: Callable[[Path], None]
    arguments: tuple[str, ...] = ("model", "inputs")
    command: tuple[str, ...] = ()
    needs_tcp: bool = False


def deploy(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    served: Served,
    **options: Unpack[Options],
) -> None:
    """Saves the model and deploys it; it is the current version once its first replica is ready.

    Raises:
        ClipperException: what failed, with the model's own words if it came so far. Nothing is left running.
    """
    _refuse_unknown(options)
    batching = limits.batching_settings(
        options.get("batch_size", -1), options.get("batching", "aimd"), options.get("batch_delay_micros", 0)
    )
    replicas, labels = options.get("num_replicas", 1), options.get("labels")
    clipper_conn.check_deployable(name, version, input_type, replicas, labels=labels, **batching)
    manifest = _manifest(served, input_type, options)
    if manifest.gpus:
        clipper_conn.cm.check_gpus(manifest.gpus)
    image, needed = interpreter.base_image(
        options.get("base_image", "default"),
        options.get("python_version"),
        lambda python: clipper_conn.cm.find_python(python, served.framework),
    )
    packages = interpreter.packages(options.get("pkgs_to_install"), options.get("requirements")) or needed or None
    with temporary_directory() as folder:
        directory = Path(folder)
        save_model(served, manifest, directory)
        _log_base(image)
        clipper_conn.build_and_deploy_model(
            name,
            version,
            input_type,
            folder,
            image,
            labels,
            options.get("registry"),
            replicas,
            pkgs_to_install=packages,
            **batching,
        )


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    served: Served,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the model under the same name and links them; all or nothing."""
    clipper_conn.check_deployable(name, version, input_type, options.get("num_replicas", 1))
    endpoint.create(
        clipper_conn,
        name,
        version_text(version),
        input_type,
        default_output,
        slo_micros,
        lambda: deploy(clipper_conn, name, version, input_type, served, **options),
    )


def with_zeros(options: Options, width: int | None) -> Options:
    """The options, with a sample of ``width`` zeros if none is given: a model that can't answer is found at once."""
    if not width or options.get("sample") is not None:
        return options
    return {**options, "sample": [0] * int(width)}


def save_model(served: Served, manifest: Manifest, directory: Path) -> None:
    """Writes the function, the model's files and the note ``model.json``."""
    if served.func is not None:
        logger.info("Saving function to %s", directory)
        save_function(served.func, directory, served.arguments)
        logger.info("Serialized and supplied predict function")
    try:
        served.save(directory)
    except ClipperException:
        raise
    except Exception as error:
        raise ClipperException(f"Error saving {served.framework} model: {type(error).__name__}: {error}") from error
    (directory / FILE).write_text(json.dumps(dataclasses.asdict(manifest)), encoding="utf-8")
    logger.info("%s model saved" if served.framework else "Python closure saved", *filter(None, [served.framework]))


def _refuse_unknown(options: Options) -> None:
    """As Python does for arguments by name."""
    for name in options:
        if name not in Options.__annotations__ and name not in Extras.__annotations__:
            near = difflib.get_close_matches(name, [*Options.__annotations__, *Extras.__annotations__], 1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"a deploy takes no argument {name!r}{hint}")


def _manifest(served: Served, input_type: str, options: Options) -> Manifest:
    per_item = options.get("per_item", False)
    if not isinstance(per_item, bool):
        raise ClipperException(f"per_item must be True or False, not {per_item!r}")
    return Manifest(
        framework=served.framework,
        command=served.command,
        needs_tcp=served.needs_tcp,
        per_item=per_item,
        sample=_sample(options.get("sample"), canonical_input_type(input_type)),
        threads=limits.whole_number("threads", options.get("threads", 1), least=1),
        memory_bytes=limits.whole_number("memory_bytes", options.get("memory_bytes", 0)),
        gpus=_gpus(options.get("gpus")),
    )


def _gpus(given: Sequence[str | int] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, (str, int)):
        raise ClipperException(f"gpus must be a list of devices, such as ['0'], not {given!r}")
    return tuple(map(str, given))


def _sample(given: object, kind: str) -> object:
    """A sample as JSON holds it, checked to be an input of the type."""
    if given is None:
        return None
    from clipper_admin.dry_run import as_container_value  # here, for it loads numpy

    sample = _as_json(given)
    try:
        as_container_value(sample, kind)
    except (TypeError, ValueError, OverflowError):
        raise ClipperException(
            f"The sample is no input of type {kind}: {given!r:.200}; give one input as a query would hold it"
        ) from None
    return sample


def _as_json(sample: object) -> object:
    """A sample as JSON holds it: arrays as lists, bytes in base64."""
    if isinstance(sample, (bytes, bytearray, memoryview)):
        return base64.b64encode(sample).decode("ascii")
    value = sample.tolist() if hasattr(sample, "tolist") else sample
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise ClipperException(
            f"sample is a {type(sample).__name__}, and {error}: give one input as a query would hold it"
        ) from None
    return value


def _log_base(base_image: str) -> None:
    if base_image == "default":
        logger.info("Using Python %s (%s)", ".".join(platform.python_version_tuple()[:2]), sys.executable)
    else:
        logger.info("Using base image %s", base_image)
