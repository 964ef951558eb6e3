"""Deploys LightGBM's boosters and its estimators."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException

Function = Callable[[Any, Any], Any]


def deploy_lightgbm_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    model: Any,
    func: Function | None = None,
    method: str = "predict",
    **options: Unpack[Options],
) -> None:
    """Deploys a trained booster or estimator; what it answers is what ``method`` returns here.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles or bytes; strings only with ``func``.
        model: a ``lightgbm.Booster``, or an estimator such as ``LGBMClassifier`` or ``LGBMRegressor``. It is saved in
            LightGBM's own text format, with the labels of a classifier.
        func: instead of ``method``: takes the model and a batch of inputs, returns one output for each. Of an
            estimator it gets what predicts: ``predict``, ``predict_proba``, ``classes_`` and ``booster_``.
        method: ``predict``, or ``predict_proba`` of a classifier.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no model of LightGBM, not trained, no such method; or what failed in the container.
    """
    served, options = _served(input_type, model, func, method, options)
    framework.deploy(clipper_conn, name, version, input_type, served, **options)


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    model: Any,
    func: Function | None = None,
    method: str = "predict",
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the model under the same name and links them; all or nothing."""
    served, options = _served(input_type, model, func, method, options)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def _served(
    input_type: str, model: Any, func: Function | None, method: str, options: Options
) -> tuple[Served, Options]:
    booster, labels = _booster(model), _labels(model)
    if func is None:
        _check(model, method, input_type)
        if input_type != "bytes":
            options = framework.with_zeros(options, booster.num_feature())
    note = {
        "estimator": booster is not model,
        "labels": labels,
        "method": "predict" if labels is None else method,  # both are the same where an objective is the user's own
    }
    return Served("lightgbm", func, lambda directory: _save(booster, note, directory)), options


def _booster(model: Any) -> Any:
    """Of a model that is trained."""
    import lightgbm

    kind = type(model).__name__
    if not isinstance(model, lightgbm.Booster | lightgbm.LGBMModel):
        raise ClipperException(
            f"A booster or estimator of LightGBM is deployed here, not a {type(model).__module__}.{kind}: use the "
            "deployer of its framework, or clipper_admin.deployers.python for a function of it"
        )
    try:
        booster = model if isinstance(model, lightgbm.Booster) else model.booster_
        trees = booster.num_trees()
    except Exception as error:  # of scikit-learn for an estimator, of LightGBM for a booster
        raise ClipperException(f"The {kind} is not trained yet: train it first ({error})") from None
    if not trees:
        raise ClipperException(f"The {kind} is not trained yet: train it first (it has no trees)")
    return booster


def _labels(model: Any) -> list[Any] | None:
    """Of a classifier; None if it answers numbers, as with an objective of the user's own."""
    import lightgbm

    if not isinstance(model, lightgbm.LGBMClassifier) or callable(model.objective):
        return None
    labels: list[Any] = model.classes_.tolist()
    return labels


def _check(model: Any, method: str, input_type: str) -> None:
    if method not in ("predict", "predict_proba") or not callable(getattr(model, method, None)):
        raise ClipperException(
            f"{type(model).__name__} can't be served by its method {method!r}: predict, and predict_proba of "
            "classifiers, are; pass func= for another way"
        )
    if input_type == "strings":
        raise ClipperException("LightGBM takes numbers: pass func= to make numbers of strings, or another input_type")


def _save(booster: Any, note: dict[str, Any], directory: Path) -> None:
    from clipper.container.frameworks.lightgbm import FILE, NOTE

    booster.save_model(directory / FILE)
    (directory / NOTE).write_text(json.dumps(note), encoding="utf-8")
