"""TensorFlow's SavedModels."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from clipper.container.manifest import usual_threads

FOLDER: Final = "saved_model"
SIGNATURE: Final = "serving_default"


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """The model's signature ``serving_default``, or the user's function of the model and the inputs.

    Raises:
        Exception: whatever loading raises.
    """
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # the function's own module has used TensorFlow already
        tf.config.threading.set_intra_op_parallelism_threads(usual_threads())
        tf.config.threading.set_inter_op_parallelism_threads(usual_threads())
    model = tf.saved_model.load(str(directory / FOLDER))
    if function is not None:
        return lambda inputs: function(model, inputs)
    return lambda inputs: call_signature(model, inputs)


def call_signature(model: Any, inputs: Any) -> list[Any]:
    """What ``serving_default``, which has one input and one output, answers; queries get the shape of the input."""
    import tensorflow as tf

    signature = model.signatures[SIGNATURE]
    ((name, wanted),) = signature.structured_input_signature[1].items()
    if wanted.dtype == tf.string:
        batch = tf.constant(list(inputs), tf.string)
    else:
        batch = tf.constant(inputs.astype(wanted.dtype.as_numpy_dtype))
    if wanted.shape.rank is not None and wanted.shape[1:].is_fully_defined():
        batch = tf.reshape(batch, (len(inputs), *wanted.shape[1:]))
    (answers,) = signature(**{name: batch}).values()
    return list(answers.numpy())
