"""Applications of a real cluster that several models answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
import requests

from benchmarks.figures import cluster
from benchmarks.selection import containers
from clipper.selection.policies import ENSEMBLES
from clipper_admin import ClipperConnection

SLO_MICROS = 5_000_000
NOTICE_SECONDS = 10.0


def deploy(connection: ClipperConnection, name: str, predict: Any) -> None:
    cloudpickle.register_pickle_by_value(containers)
    cluster.deploy(connection, name, predict)


def serve(connection: ClipperConnection, app: str, models: Sequence[str], policy: str, probe: Sequence[float]) -> str:
    """Registers an application with this policy; its URL, once the frontend knows of it and of all its models.

    An answer tells how many models were asked only where all are: others are linked while they are to vote.
    """
    first = policy if policy in ENSEMBLES or len(models) == 1 else "majority_vote"
    connection.register_application(app, "doubles", "-1", SLO_MICROS, selection_policy=first)
    for model in models:
        connection.link_model_to_app(app, model)
    url = f"http://{connection.get_query_addr()}/{app}"
    _wait(lambda: _asked(url, probe) == len(models), f"{app} to know its models")
    if first != policy:
        connection.set_selection_policy(app, policy)
        _wait(lambda: _asked(url, probe) == 1, f"{app} to know its policy")
    return url


def _asked(url: str, probe: Sequence[float]) -> int:
    """How many models a query was put to; 0 if none of them answered."""
    answer = requests.post(f"{url}/predict", json={"input": list(probe)}, timeout=NOTICE_SECONDS)
    told = answer.json()
    if answer.status_code != 200 or told["default"]:
        return 0
    return len(told["models"]) + len(told.get("missing", ())) if "models" in told else 1


def _wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + NOTICE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {NOTICE_SECONDS:g} s in vain for {what}")
        time.sleep(0.02)
