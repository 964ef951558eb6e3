"""Deploys model directories of MLflow, of whatever framework, by its ``pyfunc``."""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException
from clipper_admin.log import SessionLogger

logger = SessionLogger(logging.getLogger(__name__))

Function = Callable[[Any, Any], Any]


def deploy_mlflow_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    model_path: str | os.PathLike[str],
    func: Function | None = None,
    **options: Unpack[Options],
) -> None:
    """Deploys a directory that MLflow saved; what it answers is what ``mlflow.pyfunc`` predicts.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles, bytes or strings.
        model_path: the directory, with the file ``MLmodel`` in it; it is copied. The packages that the model needs
            must be installed here or named (``requirements=`` takes the directory's ``requirements.txt``).
        func: takes the ``PyFuncModel`` and a batch of inputs, returns one output for each. Without it, the elements
            of a query are the columns of the model's signature, in that order; a model with no names gets an array.
            An answer that is a table's row is an object with its columns.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no such directory, no model that predicts; or what failed in the container.
    """
    served, options = _served(input_type, model_path, func, options)
    framework.deploy(clipper_conn, name, version, input_type, served, **options)


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    model_path: str | os.PathLike[str],
    func: Function | None = None,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the model under the same name and links them; all or nothing."""
    served, options = _served(input_type, model_path, func, options)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def _served(
    input_type: str, model_path: str | os.PathLike[str], func: Function | None, options: Options
) -> tuple[Served, Options]:
    directory = _directory(model_path)
    if importlib.util.find_spec("mlflow"):  # or the model's own environment has it, and tells what is wrong
        schema = _schema(directory)
        if func is None and schema is not None and input_type not in ("strings", "bytes"):
            options = _with_sample(schema, options)
    return Served("mlflow", func, lambda into: _save(directory, into)), options


def _directory(model_path: str | os.PathLike[str]) -> Path:
    if not isinstance(model_path, (str, os.PathLike)):
        raise ClipperException(
            f"The path of a directory that MLflow saved is deployed here, not a {type(model_path).__module__}."
            f"{type(model_path).__qualname__}: save it with MLflow's save_model, or use the deployer of its framework"
        )
    if ":/" in str(model_path):
        raise ClipperException(
            f"{model_path} is not a directory: mlflow.artifacts.download_artifacts({str(model_path)!r}) makes one"
        )
    directory = Path(model_path)
    if not (directory / "MLmodel").is_file():
        raise ClipperException(f"There is no file MLmodel in {directory}: give the directory that save_model wrote")
    return directory


def _schema(directory: Path) -> Any:
    """The inputs of the model's signature; None if it has none.

    Raises:
        ClipperException: the note MLmodel is damaged, or tells of nothing that predicts.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own type hints
        from mlflow.models import Model
    try:
        model = Model.load(str(directory))
        flavors, schema = model.flavors, model.get_input_schema()
    except Exception as error:
        raise ClipperException(f"{directory / 'MLmodel'} can't be read: {type(error).__name__}: {error}") from error
    if "python_function" not in flavors:
        found = ", ".join(flavors) or "none"
        raise ClipperException(f"The model in {directory} has no python_function flavor, which predicts ({found})")
    return schema


def _with_sample(schema: Any, options: Options) -> Options:
    """Zeros of the right number, so that a model that can't answer is found now; the names are told."""
    names = [] if schema.is_tensor_spec() or not schema.has_input_names() else schema.input_names()
    if names:
        logger.info("Queries hold the columns of the model's signature in this order: %s", ", ".join(names))
    if options.get("sample") is not None:
        return options
    width = len(names) or _width(schema)
    return {**options, "sample": [0] * width} if width else options


def _width(schema: Any) -> int:
    """How many numbers the array of a query holds; 0 if the signature leaves it open."""
    if not schema.is_tensor_spec() or len(schema.inputs) != 1:
        return 0
    shape = schema.inputs[0].shape[1:]
    return math.prod(shape) if shape and all(each > 0 for each in shape) else 0


def _save(model: Path, directory: Path) -> None:
    from clipper.container.frameworks.mlflow import FOLDER

    shutil.copytree(model, directory / FOLDER, ignore=shutil.ignore_patterns("__pycache__"))
