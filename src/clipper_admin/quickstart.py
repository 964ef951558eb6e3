"""The quickstart of the README, run for real in a cluster of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import requests

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import python as python_deployer
from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.local import LocalContainerManager
from clipper_admin.open_ports import is_free

CLUSTER: Final = "quickstart"
USUAL_PORTS: Final = (1337, 1338, 7000)
QUESTION: Final = '{"input": [1.1, 2.2, 3.3]}'
EXPECTED: Final = 6.6
# A frontend hears of a new link within a tenth of a second.
NEWS_SECONDS: Final = 10.0

Say = Callable[[str], None]


def run(home: Path | None, say: Say) -> dict[str, Any]:
    """Does what the README does, saying each step; the answer to its query. Nothing is left running.

    Raises:
        ClipperException: a step failed.
    """
    ports = USUAL_PORTS if all(map(is_free, USUAL_PORTS)) else (0, 0, 0)
    manager = LocalContainerManager(CLUSTER, *ports, home=home)
    connection = ClipperConnection(manager)
    _clear(connection, say)
    try:
        _start(connection, say, usual=ports == USUAL_PORTS)
        _deploy(connection, say)
        answer = _ask(connection.get_query_addr(), say)
        _come_back(LocalContainerManager(CLUSTER, home=home), say)
        say(">>> clipper_conn.stop_all()")
        connection.stop_all()
    except BaseException:
        say("Stopping what was started")
        connection.stop_all(graceful=False)
        raise
    return answer


def _clear(connection: ClipperConnection, say: Say) -> None:
    """An earlier quickstart that was killed may have left its cluster."""
    try:
        connection.cm.connect()
    except ClipperException:
        return
    say("Stopping the cluster that an earlier quickstart left behind")
    connection.stop_all(graceful=False)


def _start(connection: ClipperConnection, say: Say, usual: bool) -> None:
    say(">>> from clipper_admin import ClipperConnection, LocalContainerManager")
    say(">>> clipper_conn = ClipperConnection(LocalContainerManager())")
    if not usual:
        say(f"... (one of the ports {', '.join(map(str, USUAL_PORTS))} is taken: using free ones)")
    say(">>> clipper_conn.start_clipper()")
    connection.start_clipper()
    say('>>> clipper_conn.register_application(name="hello-world", input_type="doubles",')
    say('...     default_output="-1.0", slo_micros=100000)')
    connection.register_application(
        name="hello-world", input_type="doubles", default_output="-1.0", slo_micros=100000
    )
    say(">>> clipper_conn.get_all_apps()")
    say(repr(connection.get_all_apps()))


def _deploy(connection: ClipperConnection, say: Say) -> None:
    def feature_sum(xs: Any) -> list[str]:
        return [str(sum(x)) for x in xs]

    say(">>> def feature_sum(xs):")
    say("...     return [str(sum(x)) for x in xs]")
    say(">>> from clipper_admin.deployers import python as python_deployer")
    say('>>> python_deployer.deploy_python_closure(clipper_conn, name="sum-model", version=1,')
    say('...     input_type="doubles", func=feature_sum)')
    python_deployer.deploy_python_closure(
        connection, name="sum-model", version=1, input_type="doubles", func=feature_sum
    )
    say('>>> clipper_conn.link_model_to_app(app_name="hello-world", model_name="sum-model")')
    connection.link_model_to_app(app_name="hello-world", model_name="sum-model")


def _ask(query_addr: str, say: Say) -> dict[str, Any]:
    say(f"$ curl -X POST --header \"Content-Type:application/json\" -d '{QUESTION}' {query_addr}/hello-world/predict")
    answer = _post(query_addr)
    deadline = time.monotonic() + NEWS_SECONDS
    while answer.get("default") is not False and time.monotonic() < deadline:
        time.sleep(0.05)
        answer = _post(query_addr)
    say(json.dumps(answer))
    return answer


def _post(query_addr: str) -> dict[str, Any]:
    try:
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Content-Type": "application/json"}
            url = f"http://{query_addr}/hello-world/predict"
            answer: dict[str, Any] = session.post(url, data=QUESTION, headers=headers, timeout=30).json()
    except (requests.RequestException, ValueError) as error:
        raise ClipperException(f"The query to {query_addr} was not answered: {error}") from error
    return answer


def _come_back(manager: LocalContainerManager, say: Say) -> None:
    """What a new Python session would do, and a look inside."""
    say(">>> clipper_conn = ClipperConnection(LocalContainerManager())  # a new session")
    say(">>> clipper_conn.connect()")
    connection = ClipperConnection(manager)
    connection.connect()
    try:
        say(">>> clipper_conn.inspect_instance()")
        metrics = connection.inspect_instance()
        say("{" + ", ".join(f"{kind!r}: [{len(each)} metrics]" for kind, each in metrics.items()) + "}")
    finally:
        connection.close()
