"""scikit-learn estimators and pipelines."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cloudpickle
import numpy as np

from clipper.container.labels import as_labels

FILE: Final = "model.pkl"
METHOD: Final = "sklearn.json"


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """The estimator's method, or the user's function of the estimator and the inputs.

    Raises:
        ImportError: it was trained with another version of scikit-learn.
    """
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            model = _read(directory / FILE)
        except InconsistentVersionWarning as warning:
            version = warning.original_sklearn_version
            raise ImportError(
                f"the model was saved with scikit-learn {version}, and {warning.current_sklearn_version} is "
                f"installed here: pass pkgs_to_install=['scikit-learn=={version}']",
                name="sklearn",
            ) from warning
    if function is not None:
        return lambda inputs: function(model, inputs)
    method: Callable[[Any], Any] = getattr(model, json.loads((directory / METHOD).read_text())["method"])
    return lambda inputs: by_query(method(inputs), len(inputs))


def by_query(found: Any, count: int) -> Any:
    """One output for each query: probabilities of several targets come as a list with an array for each target."""
    if isinstance(found, list) and found and all(isinstance(each, np.ndarray) for each in found):
        return [[target[place].tolist() for target in found] for place in range(count)]
    return as_labels(found)


def _read(file: Path) -> Any:
    with file.open("rb") as pickled:
        return cloudpickle.load(pickled)
