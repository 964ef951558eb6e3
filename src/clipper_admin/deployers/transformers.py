"""Deploys pipelines of Hugging Face's Transformers."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException

Function = Callable[[Any, Any], Any]


def deploy_transformers_pipeline(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    pipeline: Any,
    func: Function | None = None,
    **options: Unpack[Options],
) -> None:
    """Deploys a pipeline; without a function it answers what ``pipeline(list(inputs))`` returns here.

    It runs on the GPU if there is one where it is served, and asks no hub for anything. Its settings (``top_k``,
    ``batch_size`` and the like) are those that it was made with.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: strings for texts; bytes or floats for sound.
        pipeline: made by ``transformers.pipeline``.
        func: takes the pipeline and a batch of inputs, returns one output for each. Note that some pipelines, such as
            fill-mask, answer a list of one input without a list around it.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no such pipeline, a class of one's own in it; or what failed in the container.
    """
    served = _served(input_type, pipeline, func)
    framework.deploy(clipper_conn, name, version, input_type, served, **options)


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    pipeline: Any,
    func: Function | None = None,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the model under the same name and links them; all or nothing."""
    served = _served(input_type, pipeline, func)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def _served(input_type: str, pipeline: Any, func: Function | None) -> Served:
    _check(pipeline)
    if func is None:
        _check_plain(pipeline, input_type)
    return Served("transformers", func, lambda directory: _save(pipeline, directory), ("pipeline", "inputs"))


def _check(pipeline: Any) -> None:
    import transformers

    if not isinstance(pipeline, transformers.Pipeline):
        raise ClipperException(
            f"A transformers.Pipeline is deployed here, not a {type(pipeline).__module__}."
            f"{type(pipeline).__qualname__}: make one with transformers.pipeline(task, model=..., tokenizer=...)"
        )
    for part in (pipeline, pipeline.model):
        if not type(part).__module__.startswith("transformers."):
            raise ClipperException(
                f"{type(part).__qualname__} is a class of {type(part).__module__}, which Transformers can't restore: "
                "use clipper_admin.deployers.pytorch for the model, with a function"
            )
    if not pipeline.task:
        raise ClipperException("The pipeline does not tell its task: make it with transformers.pipeline(task, ...)")


def _check_plain(pipeline: Any, input_type: str) -> None:
    """That the pipeline alone answers queries, and opens no file or address that a query names."""
    others = ("image_processor", "video_processor", "feature_extractor", "processor")
    is_text = all(getattr(pipeline, each, None) is None for each in others)
    if is_text and input_type != "strings":
        raise ClipperException(f"{pipeline.task} takes texts: pass func= to make them, or input_type='strings'")
    if not is_text and input_type == "strings":
        raise ClipperException(
            f"{pipeline.task} takes a string as the name of a file or an address and would open what a query names: "
            "use input_type='bytes' or 'floats', or pass func= to make its inputs of strings"
        )


def _save(pipeline: Any, directory: Path) -> None:
    import transformers

    from clipper.container.frameworks.transformers import FOLDER, NOTE, PARAMETERS, SETTINGS

    pipeline.save_pretrained(directory / FOLDER)
    settings = {name: getattr(pipeline, name) for name in PARAMETERS}
    (directory / SETTINGS).write_bytes(pickle.dumps(settings))
    note = {"task": pipeline.task, "version": transformers.__version__}
    (directory / NOTE).write_text(json.dumps(note), encoding="utf-8")
