"""What is known of a model beside its function: the note ``model.json`` in its directory.

Read before numpy is imported, as the thread pools of numeric libraries are made when they are.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILE: Final = "model.json"
THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """``framework`` names the module of ``clipper.container.frameworks`` that loads the model, empty for a
    function alone.

    ``per_item``: the function takes one input, not a batch. ``sample``: an input as JSON (bytes in base64) that the
    model must answer before it serves; None: it is not tried. ``threads``: of each replica's numeric libraries.
    ``memory_bytes``: what a replica may allocate; 0 is no limit. ``gpus``: devices that the replicas take in turns.
    ``command``: a container in another language, which takes the place of this process; ``needs_tcp``: it knows no
    Unix sockets.
    """

    framework: str = ""
    per_item: bool = False
    sample: Any = None
    threads: int = 1
    memory_bytes: int = 0
    gpus: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    needs_tcp: bool = False


def read_manifest(directory: Path) -> Manifest:
    """The note of a model directory, or that of a plain function if there is none.

    Raises:
        ValueError: it can't be read.
    """
    file = directory / FILE
    if not file.is_file():
        return Manifest()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        lists = {name: tuple(found[name]) for name in ("gpus", "command") if name in found}
        return Manifest(**{**found, **lists})
    except (OSError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{file} can't be read ({error}): deploy the model again") from error


def take_place(manifest: Manifest, replica_id: int | None, environ: MutableMapping[str, str]) -> None:
    """Keeps this process to its share of the machine. What the environment says of threads already stays."""
    for variable in THREAD_VARIABLES:
        environ.setdefault(variable, str(manifest.threads))
    if manifest.gpus:
        environ["CUDA_VISIBLE_DEVICES"] = manifest.gpus[(replica_id or 0) % len(manifest.gpus)]
    if manifest.memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (manifest.memory_bytes, manifest.memory_bytes))


def give_way(manifest: Manifest, environ: MutableMapping[str, str]) -> None:
    """Has ``manifest.command`` run in the place of this process, in the model's directory; never returns.

    Raises:
        OSError: there is no such program, or it can't be run.
    """
    if manifest.needs_tcp and environ.get("CLIPPER_TCP_ADDRESS"):
        environ["CLIPPER_ADDRESS"] = environ["CLIPPER_TCP_ADDRESS"]
    sys.stdout.flush()
    os.execvpe(manifest.command[0], manifest.command, environ)


def usual_threads() -> int:
    """What frameworks are to be told that do not read the environment."""
    return int(os.environ.get("OMP_NUM_THREADS", "1") or "1")
