"""Deploys XGBoost's boosters and its estimators."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException
from clipper_admin.log import SessionLogger

logger = SessionLogger(logging.getLogger(__name__))

Function = Callable[[Any, Any], Any]


def deploy_xgboost_model(
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
        model: an ``xgboost.Booster``, or an estimator such as ``XGBClassifier`` or ``XGBRegressor``. A booster gets a
            ``DMatrix`` of the inputs. It is saved in XGBoost's own format, which other versions read, too.
        func: instead of ``method``: takes the model and a batch of inputs (an array, for a booster too), returns one
            output for each.
        method: ``predict``, or ``predict_proba`` of a classifier.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no model of XGBoost, not trained, no such method; or what failed in the container.
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
    booster = _booster(model)
    if func is None:
        _check(model, method, input_type)
        _warn_of_names(booster.feature_names)
        if input_type != "bytes":
            options = framework.with_zeros(options, booster.num_features())
    return Served("xgboost", func, lambda directory: _save(model, method, directory)), options


def _booster(model: Any) -> Any:
    """Of a model that is trained."""
    import xgboost

    kind = type(model).__name__
    estimator = getattr(xgboost, "XGBModel", None)  # None without scikit-learn
    if not isinstance(model, xgboost.Booster) and not (estimator and isinstance(model, estimator)):
        raise ClipperException(
            f"A booster or estimator of XGBoost is deployed here, not a {type(model).__module__}.{kind}: use the "
            "deployer of its framework, or clipper_admin.deployers.python for a function of it"
        )
    try:
        booster = model if isinstance(model, xgboost.Booster) else model.get_booster()
        trained = booster.num_features() > 0 and booster.num_boosted_rounds() > 0
    except Exception as error:  # of scikit-learn for an estimator, of XGBoost for a booster
        raise ClipperException(f"The {kind} is not trained yet: train it first ({error})") from None
    if not trained:
        raise ClipperException(f"The {kind} is not trained yet: train it first (it has no trees)")
    return booster


def _check(model: Any, method: str, input_type: str) -> None:
    import xgboost

    if isinstance(model, xgboost.Booster) and method != "predict":
        raise ClipperException(f"A Booster answers by predict alone, not by {method!r}: pass func= for another way")
    if not callable(getattr(model, method, None)):
        raise ClipperException(f"{type(model).__name__} has no method {method!r}: name one with method=")
    if input_type == "strings":
        raise ClipperException("XGBoost takes numbers: pass func= to make numbers of strings, or another input_type")


def _warn_of_names(names: list[str] | None) -> None:
    if names:
        logger.warning(
            "The model was trained on a table with column names. Queries hold numbers without names: send them in "
            "this order: %s",
            ", ".join(names),
        )


def _save(model: Any, method: str, directory: Path) -> None:
    import xgboost

    from clipper.container.frameworks.xgboost import FILE, NOTE

    note = {"estimator": "", "method": method}
    if not isinstance(model, xgboost.Booster):
        note |= {"estimator": _estimator(model), "missing": model.missing}
    model.save_model(directory / FILE)
    (directory / NOTE).write_text(json.dumps(note, default=float), encoding="utf-8")


def _estimator(model: Any) -> str:
    """The class of XGBoost that the model is of; what a class of the user's own adds to it is not saved."""
    import xgboost

    names: list[str] = [
        each.__name__ for each in type(model).__mro__ if getattr(xgboost, each.__name__, None) is each
    ]
    return names[0]
