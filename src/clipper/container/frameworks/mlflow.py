"""Model directories of MLflow, by its ``pyfunc``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from clipper.container.labels import as_labels

FOLDER: Final = "mlflow"
NUMBERS: Final = "biuf"


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """What the model predicts for its columns, or the user's function of it and the inputs.

    Raises:
        ImportError: MLflow, or a package that the model needs, is not installed.
        Exception: whatever else loading raises.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own type hints
        from mlflow import pyfunc

        model = pyfunc.load_model(str(directory / FOLDER))
    if function is not None:
        return lambda inputs: function(model, inputs)
    as_taken = preparation(model.metadata.get_input_schema())
    return lambda inputs: as_labels(as_outputs(model.predict(as_taken(inputs))))


def preparation(schema: Any) -> Callable[[Any], Any]:
    """A batch -> what a model of this signature takes: a table with its columns, or an array of its type."""
    if schema is None:
        return lambda inputs: inputs
    if schema.is_tensor_spec():
        return _arrays(schema)
    if not schema.has_input_names():
        return lambda inputs: inputs
    names, types = schema.input_names(), schema.pandas_types()
    return lambda inputs: table(inputs, names, types)


def table(inputs: Any, names: list[str], types: list[Any]) -> Any:
    """A row for each query, its elements the columns in the order of the signature, each of its type there."""
    import pandas

    rows = inputs.reshape(len(inputs), 1) if inputs.dtype == object and isinstance(inputs[0], str) else inputs
    if rows.ndim != 2 or rows.shape[1] != len(names):
        found = f"{rows.shape[1]} elements" if rows.ndim == 2 else "inputs of different lengths"
        raise ValueError(f"the model takes {len(names)} columns ({', '.join(names)}), found {found}")
    return pandas.DataFrame({name: _column(rows[:, place], types[place]) for place, name in enumerate(names)})


def as_outputs(found: Any) -> Any:
    """One output for each query: a row of a table is an object with its columns, or the value of the only one."""
    if not hasattr(found, "to_dict") or not hasattr(found, "columns"):
        return found
    return found.iloc[:, 0].tolist() if len(found.columns) == 1 else found.to_dict("records")


def _column(values: Any, wanted: Any) -> Any:
    """Whole numbers as whole numbers, which MLflow makes of no others; what is no number stays as it is."""
    kind = np.dtype(wanted)
    if kind.kind not in NUMBERS or kind == values.dtype:
        return values
    made = values.astype(kind)
    if kind.kind in "iu" and not np.array_equal(made, values):
        raise ValueError(f"the model takes whole numbers ({kind}) in a column that has others")
    return made


def _arrays(schema: Any) -> Callable[[Any], Any]:
    if len(schema.inputs) != 1:
        names = ", ".join(map(str, schema.input_names()))
        raise ValueError(f"the model takes {len(schema.inputs)} arrays ({names}): pass func=, called with the model")
    (wanted,) = schema.inputs
    kind, shape = np.dtype(wanted.type), tuple(wanted.shape[1:])

    def array(inputs: Any) -> Any:
        given = inputs.astype(kind, copy=False) if kind.kind in NUMBERS else inputs
        given = given.reshape(len(given), *shape) if all(each > 0 for each in shape) else given
        return {wanted.name: given} if wanted.name else given

    return array
