"""Deploys Keras 3 models, whichever backend they run on."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import shutil
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.closure import save_pickle
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException
from clipper_admin.log import SessionLogger

SUFFIXES: Final = (".keras", ".h5", ".hdf5")

logger = SessionLogger(logging.getLogger(__name__))

Function = Callable[[Any, Any], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Given:
    """A model, and the file that it was loaded from; None if it was given as an object."""

    model: Any
    file: Path | None


def deploy_keras_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    func: Function | None,
    model_path_or_object: Any,
    **options: Unpack[Options],
) -> None:
    """Deploys a Keras model; without a function it answers what ``predict_on_batch`` returns here.

    The container uses the backend (TensorFlow, JAX, PyTorch) of this session.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles or bytes; strings only with ``func``.
        func: takes the model and a batch of inputs, returns one output for each. None for models with one input and
            one output: queries, which are flat, get the shape of the model's input.
        model_path_or_object: a ``keras.Model``, which is saved as ``.keras``, or the path of a ``.keras`` or ``.h5``
            file. A file with code in it (a ``Lambda`` layer) is refused: load it with
            ``keras.saving.load_model(path, safe_mode=False)`` if you trust it, and give the model. Layers, functions
            and the like of the session's own, or of a module beside it, are carried; for a file they must be
            registered here (``keras.saving.register_keras_serializable``), since Keras loads it here first.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no model of Keras, not built, a file that can't be loaded; or what failed in the container.
    """
    served, options = _served(input_type, func, model_path_or_object, options)
    framework.deploy(clipper_conn, name, version, input_type, served, **options)


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    func: Function | None,
    model_path_or_object: Any,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the model under the same name and links them; all or nothing."""
    served, options = _served(input_type, func, model_path_or_object, options)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def _served(input_type: str, func: Function | None, model: Any, options: Options) -> tuple[Served, Options]:
    given = _from_file(Path(model)) if isinstance(model, str | os.PathLike) else _Given(model, None)
    _check(given.model)
    if func is None:
        _check_plain(given.model, input_type)
        width = math.prod(each or 0 for each in given.model.inputs[0].shape[1:])
        if input_type != "bytes":
            options = framework.with_zeros(options, width)
    return Served("keras", func, lambda directory: _save(given, directory)), options


def _from_file(file: Path) -> _Given:
    import keras

    if file.is_dir():
        raise ClipperException(
            f"{file} is a directory: Keras models are .keras or .h5 files. For a SavedModel use "
            "clipper_admin.deployers.tensorflow"
        )
    if not file.is_file():
        raise ClipperException(f"There is no file {file}: save the model there with model.save, or give the model")
    if file.suffix not in SUFFIXES:
        raise ClipperException(
            f"{file} is no Keras model by its name: .keras and .h5 files are deployed here. Use the deployer of the "
            "model's framework"
        )
    try:
        return _Given(keras.saving.load_model(file, compile=False), file)
    except Exception as error:
        raise ClipperException(f"Keras can't load {file}: {type(error).__name__}: {error}") from error


def _check(model: Any) -> None:
    import keras

    if not isinstance(model, keras.Model):
        raise ClipperException(
            f"A Keras 3 model is deployed here, not a {type(model).__module__}.{type(model).__qualname__}: use the "
            "deployer of its framework, or clipper_admin.deployers.python for a function of it"
        )
    if not model.built:
        raise ClipperException(
            f"{type(model).__name__} {model.name!r} has no weights yet: train it, call it on data, or start it with "
            "keras.Input"
        )


def _check_plain(model: Any, input_type: str) -> None:
    """That ``predict_on_batch`` alone answers queries."""
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        raise ClipperException(
            f"{type(model).__name__} {model.name!r} does not tell its inputs and outputs: pass func= to call it"
        )
    if len(inputs) != 1 or len(outputs) != 1:
        raise ClipperException(
            f"{model.name!r} has {len(inputs)} inputs and {len(outputs)} outputs: pass func= to make them of a "
            "query, and one output for each"
        )
    if input_type == "strings":
        raise ClipperException("Keras takes numbers: pass func= to make numbers of strings, or another input_type")


def _save(given: _Given, directory: Path) -> None:
    import keras

    from clipper.container.frameworks.keras import CUSTOM, NOTE

    file = "model" + (given.file.suffix if given.file else ".keras")
    if given.file:
        shutil.copyfile(given.file, directory / file)
    else:
        given.model.save(directory / file)
    note = {
        "file": file,
        "version": keras.__version__,
        "backend": keras.backend.backend(),
        "safe_mode": given.file is not None,  # what is in the session already is trusted
    }
    (directory / NOTE).write_text(json.dumps(note), encoding="utf-8")
    custom = _custom_objects(given.model)
    if custom:
        logger.info("Carrying custom objects of the model: %s", ", ".join(custom))
        save_pickle(custom, directory / CUSTOM, f"What the model is made of ({', '.join(custom)})")


def _custom_objects(model: Any) -> dict[str, Any]:
    """The classes and functions that are not Keras's own, by the names which the model's file has for them."""
    import keras

    found = {keras.saving.get_registered_name(each): each for each in _parts(model)}
    known = {**keras.saving.get_custom_objects(), **found}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # saving has warned already, where there is something to warn of
        wanted = set(_custom_names(keras.saving.serialize_keras_object(model)))
    return {name: known[name] for name in sorted(wanted & known.keys())}


def _custom_names(config: Any) -> Iterator[str]:
    """The names in a model's configuration for which Keras needs a class or function of somebody else."""
    if isinstance(config, list | tuple):
        for each in config:
            yield from _custom_names(each)
    elif isinstance(config, dict):
        if config.get("class_name") == "function" and isinstance(config.get("config"), str):
            yield config["config"]
        elif config.get("registered_name") and str(config.get("module")).partition(".")[0] != "keras":
            yield config["registered_name"]
        for key, each in config.items():
            if key != "compile_config":  # losses and metrics: a container does not train
                yield from _custom_names(each)


def _parts(model: Any) -> Iterator[Any]:
    """The classes of the model, its layers and what those hold (initializers and the like), and their functions."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, list | tuple):
            waiting.extend(each)
        elif isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, types.FunctionType):
            yield each
        elif hasattr(each, "get_config") and not isinstance(each, type):
            yield type(each)
            waiting.extend(vars(each).values())
