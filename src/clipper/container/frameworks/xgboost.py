"""XGBoost: boosters, and the estimators in the manner of scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import xgboost

from clipper.container.manifest import usual_threads

FILE: Final = "model.ubj"
NOTE: Final = "xgboost.json"


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """What the booster or the estimator's method answers, or the user's function of it and the inputs.

    Raises:
        ImportError: scikit-learn, which an estimator needs, is not installed.
        xgboost.core.XGBoostError: the model can't be read by this version of XGBoost.
    """
    note = json.loads((directory / NOTE).read_text(encoding="utf-8"))
    model = _load_estimator(directory, note) if note["estimator"] else _load_booster(directory)
    if function is not None:
        return lambda inputs: function(model, inputs)
    if note["estimator"]:
        method: Callable[[Any], Any] = getattr(model, note["method"])
        return method
    return lambda inputs: _predict(model, inputs)


def _predict(booster: Any, inputs: Any) -> Any:
    """XGBoost itself takes what a short row lacks for missing."""
    wanted = booster.num_features()
    if inputs.ndim != 2 or inputs.shape[1] != wanted:
        found = f"one of {inputs.shape[1]}" if inputs.ndim == 2 else "others"
        raise ValueError(f"the model takes inputs of {wanted} numbers, found {found}")
    names, types = booster.feature_names, booster.feature_types
    return booster.predict(xgboost.DMatrix(inputs, feature_names=names, feature_types=types))


def _load_booster(directory: Path) -> Any:
    return xgboost.Booster({"nthread": usual_threads()}, model_file=directory / FILE)


def _load_estimator(directory: Path, note: dict[str, Any]) -> Any:
    try:
        import sklearn  # noqa: F401  XGBoost's own words do not name the package
    except ImportError as missing:
        raise ImportError(f"{note['estimator']} needs scikit-learn: {missing}", name="sklearn") from missing
    model = getattr(xgboost, note["estimator"])(n_jobs=usual_threads(), missing=note["missing"])
    model.load_model(directory / FILE)
    return model
