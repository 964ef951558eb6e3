"""Deploys Spark's models, of ``pyspark.ml`` and ``pyspark.mllib``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.closure import check_function
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException

ARGUMENTS: Final = ("spark_session", "model", "inputs")

Function = Callable[[Any, Any, Any], Any]


def deploy_pyspark_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    func: Function,
    pyspark_model: Any,
    sc: Any,
    **options: Unpack[Options],
) -> None:
    """Deploys a model of Spark; the container has a local Spark session of its own, of ``threads`` cores.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles, bytes or strings.
        func: takes the container's Spark session, the model and a batch of inputs, returns one output for each.
        pyspark_model: what ``fit`` of ``pyspark.ml`` returned, a ``PipelineModel`` too, or what ``train`` of
            ``pyspark.mllib`` returned, if Spark can save it.
        sc: the SparkContext, or the SparkSession, that the model lives in. It must write to this machine's disk.
        options: see ``clipper_admin.deployers.framework.Options``. A limit of ``memory_bytes`` is that of Java, too,
            which takes some GB.

    Raises:
        ClipperException: no model of Spark, not fitted, one that can't be saved; or what failed in the container, as
            when there is no Java.
    """
    served = _served(func, pyspark_model, sc)
    framework.deploy(clipper_conn, name, version, input_type, served, **options)


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    func: Function,
    pyspark_model: Any,
    sc: Any,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the model under the same name and links them; all or nothing."""
    served = _served(func, pyspark_model, sc)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def _served(func: Function, model: Any, sc: Any) -> Served:
    context = _context(sc)
    _check(model)
    check_function(func, ARGUMENTS)
    return Served("pyspark", func, lambda directory: _save(model, context, directory), ARGUMENTS)


def _context(sc: Any) -> Any:
    from pyspark import SparkContext

    context = getattr(sc, "sparkContext", sc)
    if not isinstance(context, SparkContext):
        raise ClipperException(f"sc must be the SparkContext that the model lives in, not a {type(sc).__name__}")
    if getattr(context, "_jsc", None) is None:
        raise ClipperException("sc is stopped already: deploy the model before sc.stop()")
    return context


def _check(model: Any) -> None:
    from pyspark.ml.base import Estimator, Transformer

    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    if isinstance(model, Estimator):
        raise ClipperException(f"{kind} is not fitted yet: deploy what its fit returns")
    if isinstance(model, Transformer):
        savable = hasattr(model, "write")
    elif kind.startswith("pyspark.mllib."):
        savable = hasattr(model, "save") and hasattr(type(model), "load")
    else:
        raise ClipperException(
            f"A model of pyspark.ml or pyspark.mllib is deployed here, not a {kind}: use the deployer of its "
            "framework, or clipper_admin.deployers.python for a function of it"
        )
    if not savable:
        raise ClipperException(f"Spark can't save a {kind}: deploy one of pyspark.ml instead")


def _save(model: Any, context: Any, directory: Path) -> None:
    from pyspark.ml.base import Transformer

    from clipper.container.frameworks.pyspark import FOLDER, NOTE

    folder = directory.resolve() / FOLDER
    if isinstance(model, Transformer):
        model.write().overwrite().save(folder.as_uri())
    else:
        model.save(context, folder.as_uri())
    if not any(folder.glob("metadata/part-*")):
        raise ClipperException(
            f"Spark saved the model, but not in {folder}: its workers seem to write to disks of other machines. Save "
            "the model where all of them write, load it with a local Spark session and deploy that"
        )
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    (directory / NOTE).write_text(json.dumps({"model_class": kind}), encoding="utf-8")
