"""Deploys what TensorFlow 2 saves as a SavedModel."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.closure import temporary_directory
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException

Function = Callable[[Any, Any], Any]


def deploy_tensorflow_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    func: Function | None,
    tf_sess_or_saved_model_path: Any,
    **options: Unpack[Options],
) -> None:
    """Deploys a SavedModel; without a function it answers what its signature ``serving_default`` returns here.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles, bytes or strings.
        func: takes the loaded model (what ``tf.saved_model.load`` returns) and a batch of inputs, returns one output
            for each. None for a ``serving_default`` with one input and one output: queries, which are flat, get the
            shape and the type of its input.
        tf_sess_or_saved_model_path: the directory of a SavedModel; or a ``tf.Module`` with functions that
            ``tf.saved_model.save`` can save. Sessions of TensorFlow 1 are refused: save a SavedModel of them.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no such model, or one that can't be saved, loaded or called; or what failed in the
            container.
    """
    with _saved_model(tf_sess_or_saved_model_path) as folder:
        served, options = _served(input_type, func, folder, options)
        framework.deploy(clipper_conn, name, version, input_type, served, **options)


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    func: Function | None,
    tf_sess_or_saved_model_path: Any,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the model under the same name and links them; all or nothing."""
    with _saved_model(tf_sess_or_saved_model_path) as folder:
        served, options = _served(input_type, func, folder, options)
        framework.create_endpoint(
            clipper_conn, name, input_type, served, default_output, version, slo_micros, **options
        )


def _served(input_type: str, func: Function | None, folder: Path, options: Options) -> tuple[Served, Options]:
    model = _load(folder)
    if func is None:
        width = _check_signature(model, input_type)
        if width and input_type not in ("bytes", "strings") and options.get("sample") is None:
            options = {**options, "sample": [0] * width}
    return Served("tensorflow", func, lambda directory: _save(folder, directory)), options


@contextmanager
def _saved_model(given: Any) -> Iterator[Path]:
    """The directory of a SavedModel; one made for an object goes with the block that it is used in."""
    if isinstance(given, str | os.PathLike):
        _check_folder(Path(given))
        yield Path(given)
        return
    _check_object(given)
    with temporary_directory() as name:
        _export(given, name)
        yield Path(name)


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        raise ClipperException(f"There is no directory {folder}: save the model there with tf.saved_model.save")
    if not folder.is_dir():
        advice = "clipper_admin.deployers.keras" if folder.suffix in (".keras", ".h5") else "that of its framework"
        raise ClipperException(f"{folder} is a file, and a SavedModel is a directory: use another deployer, {advice}")
    if not any((folder / f"saved_model.{suffix}").is_file() for suffix in ("pb", "pbtxt")):
        raise ClipperException(
            f"{folder} is no SavedModel: there is no saved_model.pb in it. Give the directory that "
            "tf.saved_model.save, or model.export of Keras, wrote"
        )


def _check_object(given: Any) -> None:
    import tensorflow as tf

    kind = f"{type(given).__module__}.{type(given).__qualname__}"
    if isinstance(given, tf.compat.v1.Session | tf.compat.v1.InteractiveSession):
        raise ClipperException(
            "A session of TensorFlow 1 can't be deployed: save a SavedModel of it with "
            "tf.compat.v1.saved_model.simple_save(session, directory, inputs={...}, outputs={...}), and give that "
            "directory"
        )
    if any(each.__module__.partition(".")[0] == "keras" for each in type(given).__mro__):
        raise ClipperException(f"{kind} is a model of Keras: use clipper_admin.deployers.keras")
    if not isinstance(given, tf.__internal__.tracking.AutoTrackable):
        raise ClipperException(
            f"The directory of a SavedModel or a tf.Module is deployed here, not a {kind}: use the deployer of its "
            "framework, or clipper_admin.deployers.python for a function of it"
        )


def _export(given: Any, folder: str) -> None:
    import tensorflow as tf

    try:
        tf.saved_model.save(given, folder, signatures=getattr(given, "signatures", None))
    except Exception as error:
        raise ClipperException(
            f"tf.saved_model.save can't save the {type(given).__name__}: {type(error).__name__}: {error}"
        ) from error


def _load(folder: Path) -> Any:
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(folder))
    except Exception as error:
        raise ClipperException(
            f"TensorFlow can't load the SavedModel {folder}: {type(error).__name__}: {error}"
        ) from error


def _check_signature(model: Any, input_type: str) -> int:
    """How many numbers a query of ``serving_default`` holds; 0 if that is open."""
    import tensorflow as tf

    from clipper.container.frameworks.tensorflow import SIGNATURE

    if SIGNATURE not in model.signatures:
        raise ClipperException(
            f"The model has no signature {SIGNATURE!r}, but {sorted(model.signatures) or 'none at all'}: give its "
            "tf.function an input_signature, or pass func= to call the model"
        )
    inputs, outputs = model.signatures[SIGNATURE].structured_input_signature[1], model.signatures[SIGNATURE].outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ClipperException(
            f"{SIGNATURE!r} has {len(inputs)} inputs and {len(outputs)} outputs: pass func= to make them of a query, "
            "and one output for each"
        )
    (wanted,) = inputs.values()
    if (wanted.dtype == tf.string) != (input_type == "strings"):
        raise ClipperException(
            f"{SIGNATURE!r} takes {wanted.dtype.name}, and input_type is {input_type}: pass func=, or another "
            "input_type"
        )
    known = wanted.shape.rank is not None and wanted.shape[1:].is_fully_defined()
    return math.prod(wanted.shape[1:]) if known else 0


def _save(folder: Path, directory: Path) -> None:
    from clipper.container.frameworks.tensorflow import FOLDER

    shutil.copytree(folder, directory / FOLDER)
