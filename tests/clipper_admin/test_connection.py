import numpy as np
import pytest

from clipper_admin.connection import ClipperConnection
from clipper_admin.exceptions import ClipperException, UnconnectedException
from clipper_admin.managers.local import LocalContainerManager
from tests.clipper_admin.cluster import DEFAULTS, RecordingManager


def register(connection, *versions, name="m", **fields):
    for version in versions:
        connection.register_model(name, version, "doubles", image=f"image-{name}:{version}", **fields)


def test_start_waits_for_both_frontends_and_says_so(server, manager, messages):
    connection = ClipperConnection(manager)
    assert not connection.connected
    connection.start_clipper(cache_size=7, num_frontend_replicas=2)
    call = manager.calls[0]
    assert (call[0], call[4:]) == ("start_clipper", (7, 1, 5, 300, 2))
    assert {"/metrics", "/admin/ping"} <= {path for path, _ in server.registry.requests}
    assert connection.connected
    assert messages()[-1] == "[test-cluster] Clipper is running"
    connection.stop_all()


def test_start_reports_why_it_failed(manager, messages):
    manager.fails["start_clipper"] = "port 1337 is taken"
    with pytest.raises(ClipperException, match="port 1337 is taken"):
        ClipperConnection(manager).start_clipper()
    assert messages() == ["[test-cluster] Error starting Clipper: port 1337 is taken"]


def test_a_frontend_that_comes_late_is_waited_for(server, manager, messages, monkeypatch):
    server.registry.failures["/admin/ping"] = (503, "not yet")
    monkeypatch.setattr("clipper_admin.session.time.sleep", lambda _: server.registry.failures.clear())
    ClipperConnection(manager).start_clipper()
    assert any("Clipper still initializing" in line and "Retrying in 1 seconds..." in line for line in messages())
    assert messages()[-1] == "[test-cluster] Clipper is running"


def test_a_frontend_that_never_comes_ends_the_wait(server, manager, monkeypatch):
    server.registry.failures["/metrics"] = (503, "never")
    monkeypatch.setattr("clipper_admin.connection.START_PATIENCE", 0.0)
    connection = ClipperConnection(manager)
    with pytest.raises(ClipperException, match="503 and message: never"):
        connection.start_clipper()
    assert not connection.connected


def test_connect(server, manager, messages):
    ClipperConnection(manager).connect()
    assert messages() == [f"[test-cluster] Successfully connected to Clipper cluster at {server.addr}"]


def test_connect_to_a_dead_frontend_leaves_it_unconnected(server, manager):
    server.registry.failures["/admin/ping"] = (500, "")
    connection = ClipperConnection(manager)
    with pytest.raises(ClipperException, match="500"):
        connection.connect()
    with pytest.raises(UnconnectedException):
        connection.get_all_apps()


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.register_application("a", "doubles", "0", 1000),
        lambda c: c.unregister_application("a"),
        lambda c: c.delete_application("a"),
        lambda c: c.link_model_to_app("a", "m"),
        lambda c: c.unlink_model_from_app("a", "m"),
        lambda c: c.build_and_deploy_model("m", 1, "doubles", "/tmp", "default"),
        lambda c: c.deploy_model("m", 1, "doubles", "image"),
        lambda c: c.register_model("m", 1, "doubles"),
        lambda c: c.get_current_model_version("m"),
        lambda c: c.get_num_replicas("m", 1),
        lambda c: c.set_num_replicas("m", 1, 1),
        lambda c: c.get_all_apps(),
        lambda c: c.get_app_info("a"),
        lambda c: c.get_linked_models("a"),
        lambda c: c.get_all_models(),
        lambda c: c.get_model_info("m", 1),
        lambda c: c.get_all_model_replicas(),
        lambda c: c.get_model_replica_info("m", 1, 0),
        lambda c: c.get_clipper_logs(),
        lambda c: c.inspect_instance(),
        lambda c: c.set_model_version("m", 1),
        lambda c: c.get_query_addr(),
        lambda c: c.get_metric_addr(),
        lambda c: c.stop_models(["m"]),
        lambda c: c.stop_versioned_models({"m": [1]}),
        lambda c: c.stop_inactive_model_versions(["m"]),
        lambda c: c.stop_all_model_containers(),
        lambda c: c.predict("a", [1.0]),
        lambda c: c.predict_batch("a", [[1.0]]),
    ],
)
def test_a_connection_is_needed(call):
    manager = RecordingManager("127.0.0.1:1")
    with pytest.raises(UnconnectedException, match="No connection to Clipper cluster"):
        call(ClipperConnection(manager))
    assert manager.calls == []


def test_stop_all_needs_no_connection_and_ends_one(manager, messages):
    connection = ClipperConnection(manager)
    connection.stop_all()
    assert messages() == ["[test-cluster] Stopped all Clipper cluster and all model containers"]
    connection.connect()
    connection.stop_all(graceful=False, keep_state=True)
    assert manager.calls[-1] == ("stop_all", False, True)
    assert not connection.connected
    with pytest.raises(UnconnectedException):
        connection.get_all_apps()


def test_the_default_manager_is_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("CLIPPER_HOME", str(tmp_path))
    assert isinstance(ClipperConnection().cm, LocalContainerManager)


def test_applications(connection, server, messages):
    connection.register_application(name="a", input_type="doubles", default_output="-1.0", slo_micros=100000)
    fields = {"input_type": "doubles", "default_output": "-1.0", "latency_slo_micros": 100000}
    assert server.registry.requests[-1] == ("/admin/add_app", {"name": "a", **fields})
    assert connection.get_all_apps() == ["a"]
    info = {"name": "a", **DEFAULTS, **fields}
    assert connection.get_all_apps(verbose=True) == [info]
    assert connection.get_app_info("a") == info
    assert connection.get_app_info("b") is None
    connection.register_model("m", 1, "doubles")
    connection.link_model_to_app("a", "m")
    assert connection.get_linked_models("a") == ["m"]
    connection.unlink_model_from_app("a", "m")
    assert connection.get_linked_models("a") == []
    connection.delete_application("a")
    assert connection.get_all_apps() == []
    assert [line.removeprefix("[test-cluster] ") for line in messages()] == [
        "Application a was successfully registered",
        "Application b is not registered with Clipper",
        "Successfully registered model m:1",
        "Model m is now linked to application a",
        "Model m is now removed to application a",
        "[DEPRECATED] Use 'unregister_application' API instead of this.",
        "Application a was successfully unregistered",
    ]


def test_selection_is_sent_when_it_is_not_the_default(connection, server):
    connection.register_application("a", "doubles", "0", 1000, selection_policy="exp3", policy_params={"eta": 0.1})
    body = server.registry.requests[-1][1]
    assert (body["selection_policy"], body["policy_params"]) == ("exp3", {"eta": 0.1})
    assert "loss" not in body


def test_a_default_output_that_is_not_text(connection):
    with pytest.raises(
        ClipperException, match=r"default_output must be a str, not -1.0 of type float: write it as JSON"
    ):
        connection.register_application("a", "doubles", -1.0, 1000)


def test_linking_what_does_not_exist(connection):
    connection.register_application("a", "doubles", "0", 1000)
    with pytest.raises(ClipperException, match="No model with name"):
        connection.link_model_to_app("a", "m")


def test_models(connection, messages):
    register(connection, 1, "2", labels=["x"], batch_size=9)
    assert connection.get_all_models() == ["m:1", "m:2"]
    info = connection.get_model_info("m", 1)
    assert (info["labels"], info["batch_size"], info["container_name"]) == (["x"], 9, "image-m:1")
    assert connection.get_model_info("m", 3) is None
    assert messages()[-1] == "[test-cluster] Model m:3 is not registered with Clipper."
    assert connection.get_current_model_version("m") == "2"
    with pytest.raises(ClipperException, match="No versions of model nothing registered with Clipper"):
        connection.get_current_model_version("nothing")


def test_replica_information(connection, messages):
    register(connection, 1)
    assert connection.get_all_model_replicas() == ["m:1:0"]
    assert connection.get_all_model_replicas(verbose=True)[0]["model_id"] == "m:1"
    assert connection.get_model_replica_info("m", 1, 0) == {"model_id": "m:1"}
    assert connection.get_model_replica_info("m", 1, 5) is None
    assert messages()[-1] == "[test-cluster] No model replica with ID 5 found for model m:1"


def test_scaling(connection, manager):
    register(connection, 1, 2)
    connection.set_num_replicas("m", 4)
    assert manager.calls[-1] == ("set_num_replicas", "m", "2", "doubles", "image-m:2", 4)
    assert connection.get_num_replicas("m") == connection.get_num_replicas("m", 2) == 4
    assert connection.get_num_replicas("m", 1) == 0
    with pytest.raises(ClipperException, match="Cannot add container for non-registered model m:9"):
        connection.set_num_replicas("m", 1, version=9)
    for wrong in (-1, True, 2.5, "2"):
        with pytest.raises(ClipperException, match="num_replicas must be 0 or more"):
            connection.set_num_replicas("m", wrong)
        with pytest.raises(ClipperException, match="num_replicas must be 0 or more"):
            connection.set_model_version("m", 1, num_replicas=wrong)


def test_a_containerless_model_has_no_replicas_to_scale(connection):
    connection.register_model("m", 1, "doubles")
    with pytest.raises(ClipperException, match="Cannot resize the replica set for containerless model m:1"):
        connection.set_num_replicas("m", 1)


def test_versions_of_containerless_models_switch_freely(connection):
    for version in ("v1", "v2"):
        connection.register_model("m", version, "doubles")
    connection.set_model_version("m", "v1")
    assert connection.get_model_info("m", "v1")["is_current_version"]


def test_replicas_come_before_the_switch(connection, manager, server):
    register(connection, 1, 2)
    current = []
    scale = manager.set_num_replicas
    manager.set_num_replicas = lambda *args: (current.append(server.registry.current["m"]), scale(*args))
    connection.set_model_version("m", 1, num_replicas=2)
    assert current == ["2"]
    assert server.registry.current["m"] == "1"
    assert manager.replicas["m", "1"] == 2


@pytest.mark.parametrize("num_replicas", [None, 0])
def test_a_version_without_replicas_does_not_become_current(connection, server, num_replicas):
    register(connection, 1, 2)
    with pytest.raises(ClipperException, match=r"set_model_version\('m', '1', num_replicas=1\)"):
        connection.set_model_version("m", 1, num_replicas)
    assert server.registry.current["m"] == "2"


def test_switching_to_an_unknown_version(connection):
    with pytest.raises(ClipperException, match="Cannot set non-existent version '9' for model with name 'm'"):
        connection.set_model_version("m", 9, num_replicas=2)


def test_addresses_metrics_and_logs(connection, server):
    assert connection.get_query_addr() == connection.get_metric_addr() == server.addr
    assert connection.inspect_instance() == {"counters": []}
    assert connection.get_clipper_logs("here/") == ["here/query.log"]


def test_predict(connection, server):
    answer = connection.predict("a", np.array([1.5, 2.0]), user_id="ann", version=2)
    assert answer == {"query_id": 0, "output": [1.5, 2.0], "default": False}
    sent = {"input": [1.5, 2.0], "user_id": "ann", "version": "2"}
    assert server.registry.requests[-1] == ("/a/predict", sent)
    assert connection.predict("a", b"\x00\xff")["output"] == "AP8="
    assert connection.predict("a", "text")["output"] == "text"


def test_predict_batch(connection, server):
    answers = connection.predict_batch("a", np.array([[1.0], [2.0]]))
    assert [each["output"] for each in answers] == [[1.0], [2.0]]
    assert connection.predict_batch("a", [b"a"])[0]["output"] == "YQ=="
    assert server.registry.requests[-1][1]["type"] == "application/x-clipper-batch; type=bytes"


def test_a_refused_query(connection, server):
    server.registry.failures["/a/predict"] = (400, {"error": "Json error", "cause": "no"})
    with pytest.raises(ClipperException, match=r"Received error status code: 400 and message: .*Json error"):
        connection.predict("a", [1.0])
