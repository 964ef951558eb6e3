"""ONNX models, on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from clipper.container.labels import as_labels
from clipper.container.manifest import usual_threads

FILE: Final = "model.onnx"
_PROVIDERS: Final = ("CUDAExecutionProvider", "CPUExecutionProvider")
_NAMES: Final = {"float": "float32", "double": "float64", "string": "object"}


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """The model's first output for its only input, or the user's function of the session and the inputs.

    Raises:
        ValueError: the file is no ONNX model that this ONNX Runtime can run, or it takes several inputs and there is
            no function to make them.
    """
    session = open_session(directory / FILE)
    if function is not None:
        return lambda inputs: function(session, inputs)
    answer = Answer(session)
    return lambda inputs: as_labels(answer(inputs))


def open_session(model: Path | bytes) -> Any:
    """With the threads of this replica, on a GPU if it has one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usual_threads()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # replicas share the processors
    available = onnxruntime.get_available_providers()
    providers = [each for each in _PROVIDERS if each in available]
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:
        raise ValueError(f"ONNX Runtime {onnxruntime.__version__} can't load the model: {error}") from error


class Answer:
    """A batch as the session's input wants it -> its first output, one for each query."""

    def __init__(self, session: Any) -> None:
        inputs = session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(each.name for each in inputs) or "none"
            raise ValueError(f"the model takes {len(inputs)} inputs ({names}): pass func=, called with the session")
        self._run = session.run
        self._input: str = inputs[0].name
        self._dtype = _dtype(inputs[0].type)
        self._shape = tuple(inputs[0].shape[1:])
        self._outputs = [session.get_outputs()[0].name]
        fixed = inputs[0].shape[0] if inputs[0].shape else None
        self._rows = fixed if isinstance(fixed, int) and fixed > 0 else 0

    @property
    def width(self) -> int | None:
        """How many numbers a query holds; None if the model takes any number."""
        return int(np.prod(self._shape)) if self._shape and self._is_fixed() else None

    def __call__(self, inputs: Any) -> Any:
        given = inputs.astype(self._dtype, copy=False)
        if self._is_fixed():
            given = given.reshape(len(given), *self._shape)
        if not self._rows:
            return self._run(self._outputs, {self._input: given})[0]
        return [each for start in range(0, len(given), self._rows) for each in self._part(given, start)]

    def _part(self, given: Any, start: int) -> Any:
        """Of a model that takes so many queries and no other number: the last one fills the batch up."""
        part = given[start : start + self._rows]
        missing = self._rows - len(part)
        full = np.concatenate((part, np.repeat(part[-1:], missing, axis=0))) if missing else part
        return self._run(self._outputs, {self._input: full})[0][: len(part)]

    def _is_fixed(self) -> bool:
        return all(isinstance(each, int) for each in self._shape)


def _dtype(kind: str) -> np.dtype[Any]:
    """Of numpy, for what ONNX Runtime calls ``tensor(float)``."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    try:
        return np.dtype(_NAMES.get(name, name))
    except TypeError:
        raise ValueError(f"the model takes a {kind}: pass func=, called with the session, to make it") from None
