"""scikit-learn estimators and pipelines."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

FILE: Final = "model.joblib"
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
    return method


def _read(file: Path) -> Any:
    import joblib  # not before scikit-learn, which is the one to name where neither is installed

    return joblib.load(file)
