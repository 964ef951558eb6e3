"""LightGBM: boosters, and what the estimators in the manner of scikit-learn make of theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import lightgbm
import numpy as np

from clipper.container.labels import as_labels
from clipper.container.manifest import usual_threads

FILE: Final = "model.txt"
NOTE: Final = "lightgbm.json"


class Estimator:
    """What predicts of a fitted ``LGBM*``, without scikit-learn."""

    def __init__(self, booster: Any) -> None:
        self.booster_ = booster

    def predict(self, inputs: Any) -> Any:
        return self.booster_.predict(inputs, num_threads=usual_threads())


class Classifier(Estimator):
    """As ``LGBMClassifier``: an answer is one of the labels it was trained with."""

    def __init__(self, booster: Any, labels: list[Any]) -> None:
        super().__init__(booster)
        self.classes_ = np.array(labels)

    def predict(self, inputs: Any) -> Any:
        return self.classes_[np.argmax(self.predict_proba(inputs), axis=1)]

    def predict_proba(self, inputs: Any) -> Any:
        found = super().predict(inputs)
        return found if found.ndim > 1 else np.vstack((1.0 - found, found)).T  # of two labels it tells the second


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """What the booster or the estimator's method answers, or the user's function of it and the inputs.

    Raises:
        lightgbm.basic.LightGBMError: the model can't be read by this version of LightGBM.
    """
    note = json.loads((directory / NOTE).read_text(encoding="utf-8"))
    booster = lightgbm.Booster(model_file=directory / FILE)
    model: Any = Estimator(booster) if note["labels"] is None else Classifier(booster, note["labels"])
    if function is None:
        method: Callable[[Any], Any] = getattr(model, note["method"])
        return lambda inputs: as_labels(method(inputs))
    given = model if note["estimator"] else booster
    return lambda inputs: function(given, inputs)
