"""Keras models, in a file of Keras's own."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cloudpickle
import numpy as np

from clipper.container.manifest import usual_threads

NOTE: Final = "keras.json"
CUSTOM: Final = "keras_custom.pkl"


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """The model's ``predict_on_batch``, or the user's function of the model and the inputs.

    Raises:
        ImportError: Keras or its backend is missing, or another version of Keras saved the model and this one can't
            read it.
        Exception: whatever else loading raises.
    """
    note = json.loads((directory / NOTE).read_text(encoding="utf-8"))
    os.environ["KERAS_BACKEND"] = note["backend"]
    import keras

    _limit_threads(note["backend"])
    custom = load_custom(directory)
    try:
        model = keras.saving.load_model(directory / note["file"], custom, compile=False, safe_mode=note["safe_mode"])
    except Exception as error:
        if note["version"] == keras.__version__:
            raise
        raise ImportError(
            f"the model was saved with Keras {note['version']}, and {keras.__version__}, which is installed here, "
            f"can't read it ({error}): pass pkgs_to_install=['keras=={note['version']}']",
            name="keras",
        ) from error
    if function is not None:
        return lambda inputs: function(model, inputs)
    return lambda inputs: predict(model, inputs)


def load_custom(directory: Path) -> dict[str, Any]:
    """The classes and functions of the session that the model's file names."""
    if not (directory / CUSTOM).exists():
        return {}
    modules = str(directory / "modules")
    if modules not in sys.path:
        sys.path.insert(0, modules)
    with (directory / CUSTOM).open("rb") as pickled:
        return dict(cloudpickle.load(pickled))


def predict(model: Any, inputs: Any) -> list[Any]:
    """What a model with one input and one output answers; queries are flat, the model's input may have more axes."""
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) != 1 and None not in shape:
        inputs = inputs.reshape(len(inputs), *shape)
    return list(np.asarray(model.predict_on_batch(inputs)))


def _limit_threads(backend: str) -> None:
    if backend == "tensorflow":
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # the function's own module has used TensorFlow already
            tf.config.threading.set_intra_op_parallelism_threads(usual_threads())
            tf.config.threading.set_inter_op_parallelism_threads(usual_threads())
    elif backend == "torch":
        import torch

        torch.set_num_threads(usual_threads())
