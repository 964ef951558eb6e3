"""Every setting that is declared does something that can be seen. (LitServe #751, KServe #4266, Ray #37882.)

``EFFECTS`` names the test of it, for each setting of the servers and each parameter of what users call; a new one
has to be given its test here.
"""

import dataclasses
import http.client
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipper.config import Config
from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers.python import create_endpoint, deploy_python_closure
from tests.clipper_admin.managers.polling import eventually
from tests.integration.index import exists
from tests.integration.models import adding, noting, slow
from tests.integration.processes import is_ready, pids_of, pids_of_replicas, stopped
from tests.integration.rest import ask, ask_batch, metrics, outputs

HERE = "tests/integration/test_effects.py"
BATCHING = "tests/integration/test_batching.py"
FRONTENDS = "tests/integration/test_frontends.py"
FEEDBACK = "tests/integration/test_feedback.py"
LOCAL = "tests/integration/test_local_manager.py"
LONG = "tests/integration/test_long_suite.py"
OPTIONS = "tests/integration/test_options.py"
SHORT = "tests/integration/test_short_suite.py"

IDLE = f"{OPTIONS}::test_an_idle_connection_is_closed"
BODY = f"{OPTIONS}::test_a_body_that_does_not_come_is_not_waited_for"
CACHE = f"{HERE}::test_the_cache_holds_as_much_as_it_may"
PAIR = f"{FRONTENDS}::test_both_frontends_answer_and_their_metrics_add_up"
LOGGED = "tests/integration/test_request_log.py::test_a_prediction_is_found_in_every_log_by_its_name"
SIDE_BY_SIDE = f"{LOCAL}::test_two_clusters_side_by_side"

SERVERS = {
    "store": "tests/clipper/management/test_frontend.py::test_what_was_registered_survives_kill_9",
    "host": f"{HERE}::test_the_address_to_listen_on_is_the_one_that_was_given",
    "query_port": f"{LOCAL}::test_a_taken_port_is_told_and_nothing_is_left",
    "management_port": "tests/clipper/management/test_frontend.py::test_a_port_in_use_is_told",
    "rpc_port": f"{HERE}::test_a_container_of_another_machine_finds_the_port",
    "rpc_socket": "tests/integration/test_replicas.py::test_replicas_that_are_killed_cost_no_query",
    "metrics_address": "tests/docker/test_manager.py::test_prometheus_knows_every_frontend_and_replica",
    "metrics_sockets": PAIR,
    "frontend": PAIR,
    "cache_bytes": CACHE,
    "queue_limit": f"{HERE}::test_the_queue_holds_as_many_as_it_may",
    "body_limit": "tests/docs/test_operating.py::test_a_running_cluster_is_as_described",
    "request_timeout": IDLE,
    "content_timeout": BODY,
    "drain_timeout": f"{HERE}::test_a_drain_takes_as_long_as_it_may",
    **dict.fromkeys(["log_level", "log_format"], LOGGED),
}
MANAGER = {
    "cluster_name": SIDE_BY_SIDE,
    "clipper_query_port": f"{LOCAL}::test_a_taken_port_is_told_and_nothing_is_left",
    "clipper_management_port": f"{LOCAL}::test_starting_twice_is_refused_and_connect_finds_the_ports",
    "clipper_rpc_port": f"{HERE}::test_a_container_of_another_machine_finds_the_port",
    "home": f"{LOCAL}::test_a_cluster_from_start_to_stop",
    "host": f"{HERE}::test_the_address_to_listen_on_is_the_one_that_was_given",
    "deploy_timeout": f"{LOCAL}::test_a_model_that_hangs_is_shown_where",
    **dict.fromkeys(["log_level", "log_format"], LOGGED),
}
START = {
    **dict.fromkeys(["query_frontend_image", "mgmt_frontend_image", "frontend_exporter_image"], "of images"),
    "cache_size": CACHE,
    "qf_http_thread_pool_size": "tests/docs/test_migrating.py::test_the_arguments_without_effect_are_still_taken",
    "qf_http_timeout_request": IDLE,
    "qf_http_timeout_content": BODY,
    "num_frontend_replicas": PAIR,
}
REGISTER = {
    "name": f"{SHORT}::test_a_registered_application_is_listed_and_described",
    "input_type": "tests/integration/test_types.py::test_every_alias_is_the_type",
    "default_output": "tests/integration/test_types.py::test_a_default_output_is_embedded_in_the_same_way",
    "slo_micros": "tests/integration/test_deadlines.py::test_each_application_keeps_its_own_objective",
    "selection_policy": "tests/integration/test_ensembles.py::test_all_answer_and_the_majority_wins",
    "policy_params": f"{FEEDBACK}::test_the_shares_of_a_split_are_those_given",
    "confidence_threshold": f"{FEEDBACK}::test_what_is_not_sure_enough_is_the_default",
    **dict.fromkeys(["loss", "loss_scale"], f"{FEEDBACK}::test_numbers_are_scored_on_the_applications_scale"),
}
POLICY = {
    **dict.fromkeys(["app_name", "policy"], f"{FEEDBACK}::test_a_policy_is_changed_while_it_serves"),
    "params": f"{FEEDBACK}::test_the_shares_of_a_split_are_those_given",
    "confidence_threshold": f"{FEEDBACK}::test_what_is_not_sure_enough_is_the_default",
    **dict.fromkeys(["loss", "loss_scale"], f"{FEEDBACK}::test_numbers_are_scored_on_the_applications_scale"),
}
FEED = {
    **dict.fromkeys(
        ["app_name", "label", "query_id", "user_id"], f"{FEEDBACK}::test_each_user_has_models_of_his_own"
    ),
    **dict.fromkeys(["input", "loss"], f"{FEEDBACK}::test_one_model_gets_feedback_too"),
}
BATCHES = {
    "batch_size": f"{LONG}::test_a_fixed_batch_size_is_kept_to",
    "batching": "tests/clipper/execution/test_faults.py::test_the_way_to_learn_a_size_reaches_every_replica",
    "batch_delay_micros": f"{HERE}::test_a_delay_makes_batches_larger",
}
DEPLOY = {
    "clipper_conn": SIDE_BY_SIDE,
    "name": f"{LONG}::test_many_apps_and_many_models",
    "version": f"{LONG}::test_many_apps_and_many_models",
    "input_type": "tests/integration/test_types.py::test_every_alias_is_the_type",
    "func": f"{LONG}::test_many_apps_and_many_models",
    "base_image": "tests/clipper_admin/managers/test_environments.py::test_a_named_interpreter_is_used",
    "labels": f"{FRONTENDS}::test_everything_registered_survives_the_death_of_every_server",
    "registry": "tests/clipper_admin/managers/test_images.py::test_tags",
    "num_replicas": f"{LONG}::test_replicas_share_the_work_and_the_metrics_say_so",
    "pkgs_to_install": f"{LOCAL}::test_a_model_has_its_own_packages",
    "extras": "tests/clipper_admin/test_testing.py::test_the_fixture_is_a_running_cluster",
    **BATCHES,
}
CREATE = DEPLOY | {"default_output": REGISTER["default_output"], "slo_micros": REGISTER["slo_micros"]}
CHANGE = dict.fromkeys(["name", "version", *BATCHES], f"{BATCHING}::test_batching_changes_while_the_model_serves")
STOP = {
    "graceful": f"{LOCAL}::test_stopping_at_once_leaves_nothing",
    "keep_state": f"{LOCAL}::test_a_cluster_stopped_with_its_state_comes_back",
}

EFFECTS = [
    (Config, SERVERS),
    (LocalContainerManager.__init__, MANAGER),
    (ClipperConnection.start_clipper, START),
    (ClipperConnection.stop_all, STOP),
    (ClipperConnection.register_application, REGISTER),
    (deploy_python_closure, DEPLOY),
    (create_endpoint, CREATE),
    (ClipperConnection.set_batching, CHANGE),
    (ClipperConnection.set_selection_policy, POLICY),
    (ClipperConnection.send_feedback, FEED),
]
NOT_YET = {"of images"}
"""Taken for the managers that run images: they come with those."""


@pytest.mark.parametrize(("declared", "effects"), EFFECTS, ids=lambda each: getattr(each, "__qualname__", ""))
def test_every_setting_has_a_test_of_its_effect(declared, effects):
    if dataclasses.is_dataclass(declared):
        names = [each.name for each in dataclasses.fields(declared)]
    else:
        names = [each for each in inspect.signature(declared).parameters if each != "self"]
    assert sorted(effects) == sorted(names)
    for test in set(effects.values()) - NOT_YET:
        assert exists(test), test


# -- effects that no other test shows


@pytest.fixture(scope="module")
def clipper(start):
    """A cluster whose cache and queues are tiny, and which drains for a short time only."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLIPPER_QUEUE_LIMIT", "5")
        environment.setenv("CLIPPER_DRAIN_TIMEOUT", "0.5")
        return start("tiny", cache_size=4000)


@pytest.mark.cluster
def test_the_cache_holds_as_much_as_it_may(serve, query_addr, tmp_path):
    """Of a hundred outputs of 320 bytes and more it holds twelve at most, and the first is asked again."""
    name = serve(noting(str(tmp_path / "seen")))
    for number in range(100):
        assert outputs([ask(query_addr, name, [float(number)])]) == [number]
        value = metrics(query_addr)
        assert value("clipper_cache_bytes") <= 4000
        assert value("clipper_cache_entries") <= 12
    assert value("clipper_cache_entries") > 5
    assert outputs([ask(query_addr, name, [0.0])]) == [0]
    assert len((tmp_path / "seen").read_text().split()) == 101


@pytest.mark.cluster
def test_the_queue_holds_as_many_as_it_may(clipper, serve, query_addr):
    """Behind a replica that hangs: what does not fit is turned down at once, and the metric says as many."""
    name = serve(adding(), batch_size=1, slo=5_000_000)
    (pid,) = pids_of_replicas(clipper, name)
    with ThreadPoolExecutor(1) as pool:
        with stopped(pid):
            asked = pool.submit(ask_batch, query_addr, name, [[float(each)] for each in range(50)])
            eventually(lambda: shed(query_addr, name) >= 50 - 5 - 2)
            value = metrics(query_addr)
            kept = [value(f"clipper_{each}", model=name, version="1") for each in ("queue_depth", "inflight")]
            assert 5 <= sum(kept) == 50 - shed(query_addr, name) <= 5 + 2
            assert kept[0] <= 5
            assert not asked.done()
        answers = asked.result(30)
    reasons = [each["default_reason"] for each in answers if each["default"]]
    assert reasons == ["overload"] * int(50 - sum(kept))
    assert shed(query_addr, name) == len(reasons)


def shed(query_addr, name):
    return metrics(query_addr)("clipper_default_outputs_total", app=name, reason="overload")


@pytest.mark.cluster
def test_a_drain_takes_as_long_as_it_may(clipper, serve, query_addr):
    name = serve(slow(2.5), slo=20_000_000)
    pid = pids_of(clipper, "query-frontend-0")["query-frontend-0"]
    connection = http.client.HTTPConnection(query_addr, timeout=20)
    connection.request("POST", f"/{name}/predict", json.dumps({"input": [1.0]}))
    eventually(lambda: metrics(query_addr)("clipper_inflight", model=name, version="1") == 1)
    os.kill(pid, signal.SIGTERM)
    began = time.monotonic()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        connection.getresponse()
    assert 0.4 < time.monotonic() - began < 2.4
    eventually(lambda: is_ready(query_addr))
    assert "1 queries were cut off" in clipper.cm.log_path("query-frontend-0").read_text()


@pytest.mark.cluster
def test_a_delay_makes_batches_larger(clipper, serve, query_addr):
    name = serve(adding(), batch_size=100)
    batches = 0

    def more_batches():
        nonlocal batches
        before, batches = batches, metrics(query_addr)("clipper_batch_size_count", model=name, version="1")
        return batches - before

    for number in range(10):
        assert outputs([ask(query_addr, name, [float(number)])]) == [number]
    assert more_batches() == 10
    clipper.set_batching(name, batch_delay_micros=500_000)
    began = time.monotonic()
    assert outputs([ask(query_addr, name, [100.0])]) == [100]
    assert 0.45 < time.monotonic() - began < 5
    assert more_batches() == 1
    together = threading.Barrier(4)

    def client(number):
        together.wait(10)
        return ask(query_addr, name, [200.0 + number])

    with ThreadPoolExecutor(4) as pool:
        assert outputs(list(pool.map(client, range(4)))) == [200, 201, 202, 203]
    assert more_batches() < 4


@pytest.mark.cluster
def test_a_container_of_another_machine_finds_the_port(clipper, serve, query_addr):
    """As one that is run by hand: over TCP, to the address and port that the cluster was started with."""
    name = serve(adding())
    clipper.set_num_replicas(name, 0)
    eventually(lambda: metrics(query_addr)("clipper_replica_up", model=name, version="1") == 0)
    cluster = clipper.cm.home / "clusters" / "tiny"
    port = json.loads((cluster / "cluster.json").read_text())["rpc_port"]
    environment = os.environ | {
        "CLIPPER_MODEL_NAME": name,
        "CLIPPER_MODEL_VERSION": "1",
        "CLIPPER_INPUT_TYPE": "doubles",
        "CLIPPER_MODEL_PATH": str(cluster / "models" / name / "1" / "model"),
        "CLIPPER_ADDRESS": f"tcp:127.0.0.1:{port}",
    }
    (runtime,) = cluster.rglob("clipper-container.pyz")
    container = subprocess.Popen([sys.executable, str(runtime)], env=environment, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: metrics(query_addr)("clipper_replica_up", model=name, version="1") == 1)
        assert outputs([ask(query_addr, name, [1.0, 2.5])]) == [3.5]
    finally:
        container.terminate()
        container.wait(20)


def test_the_address_to_listen_on_is_the_one_that_was_given(tmp_path):
    """This machine has not this one, which is for examples only."""
    server = [sys.executable, "-m", "clipper.frontend.server", f"--store={tmp_path / 'store'}"]
    ended = subprocess.run(
        [*server, "--host=192.0.2.1", "--query-port=0", "--rpc-port=0"], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert "the query frontend can't run" in ended.stderr
    assert "192.0.2.1" in ended.stderr
