"""Deploys scikit-learn estimators and pipelines."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.closure import save_pickle
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException
from clipper_admin.log import SessionLogger

logger = SessionLogger(logging.getLogger(__name__))

Function = Callable[[Any, Any], Any]


def deploy_sklearn_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    model: Any,
    func: Function | None = None,
    method: str = "predict",
    **options: Unpack[Options],
) -> None:
    """Deploys a fitted estimator or pipeline; what it answers is what ``method`` returns here.

    Classes and functions of the session, and of modules of your own, that the estimator is made of go along.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles, bytes or strings.
        model: the estimator.
        func: instead of ``method``: takes the model and a batch of inputs, returns one output for each.
        method: ``predict``, ``predict_proba``, ``decision_function``, ``transform`` or another of the model.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no estimator, not fitted, no such method; or what failed in the container.
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
    _check(model, method)
    if func is None and input_type not in ("strings", "bytes"):
        options = framework.with_zeros(options, getattr(model, "n_features_in_", None))
    return Served("sklearn", func, lambda directory: _save(model, method, directory)), options


def _check(model: Any, method: str) -> None:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if not isinstance(model, BaseEstimator):
        raise ClipperException(
            f"A scikit-learn estimator is deployed here, not a {type(model).__module__}.{type(model).__qualname__}: "
            "use the deployer of its framework, or clipper_admin.deployers.python for a function of it"
        )
    if not callable(getattr(model, method, None)):
        raise ClipperException(f"{type(model).__name__} has no method {method!r}: name one with method=")
    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise ClipperException(f"{type(model).__name__} is not fitted yet: call fit first ({error})") from None
    names = getattr(model, "feature_names_in_", None)
    if names is not None:
        logger.warning(
            "The model was trained on a table with column names. Queries hold numbers without names: send them in "
            "this order: %s",
            ", ".join(map(str, names)),
        )


def _save(model: Any, method: str, directory: Path) -> None:
    from clipper.container.frameworks.sklearn import FILE, METHOD

    save_pickle(model, directory / FILE, f"The {type(model).__name__}")
    (directory / METHOD).write_text(json.dumps({"method": method}), encoding="utf-8")
