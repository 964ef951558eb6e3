"""Spark's models, of ``pyspark.ml`` and ``pyspark.mllib``, in a local Spark session of the container's own."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from clipper.container.manifest import usual_threads

FOLDER: Final = "spark_model"
NOTE: Final = "metadata.json"
_HOST: Final = "127.0.0.1"
_JAVA: Final = "install Java 17 where the models run (on Debian: apt-get install openjdk-17-jre-headless)"


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """The user's function of the Spark session, the model and the inputs.

    Raises:
        RuntimeError: there is no Java, or one that this Spark can't use.
        ImportError: PySpark, or the module of the model's class, is missing.
        Exception: whatever else loading raises.
    """
    if function is None:
        raise ValueError("a model of Spark needs a function, and there is none in its directory: deploy it again")
    check_java()
    session = _start_session()
    model = load_model(session, directory)
    return lambda inputs: function(session, model, inputs)


def check_java() -> None:
    """Spark would say in many lines what is told here in one: RuntimeError if there is no Java where it looks."""
    home = os.environ.get("JAVA_HOME")
    if home and not shutil.which(os.path.join(home, "bin", "java")):
        raise RuntimeError(f"Spark needs Java, and there is none in JAVA_HOME, {home}: correct it, or {_JAVA}")
    if not home and not shutil.which("java"):
        raise RuntimeError(f"Spark needs Java, and there is none in PATH, nor is JAVA_HOME set: {_JAVA}")


def load_model(session: Any, directory: Path) -> Any:
    """By the class that the note names."""
    name = json.loads((directory / NOTE).read_text(encoding="utf-8"))["model_class"]
    module, _, kind = name.rpartition(".")
    model_class = getattr(importlib.import_module(module), kind)
    address = (directory / FOLDER).resolve().as_uri()
    if name.startswith("pyspark.mllib."):
        return model_class.load(session.sparkContext, address)
    return model_class.load(address)


def _start_session() -> Any:
    import pyspark
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = _HOST
    threads = usual_threads()
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": _HOST,
        "spark.driver.bindAddress": _HOST,
        "spark.log.level": "ERROR",
        "spark.default.parallelism": str(threads),
        "spark.sql.shuffle.partitions": str(threads),
    }
    builder = SparkSession.builder.master(f"local[{threads}]").appName("clipper").config(map=settings)
    try:
        return builder.getOrCreate()
    except Exception as error:
        raise RuntimeError(
            f"Spark {pyspark.__version__} does not start ({error}). Most often it is the version of Java: {_JAVA}"
        ) from error
