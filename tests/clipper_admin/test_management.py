"""ClipperConnection against the real management frontend: what it sends is what that accepts."""

import re
import subprocess
import sys

import pytest

from clipper_admin.connection import ClipperConnection
from clipper_admin.exceptions import ClipperException


@pytest.fixture(scope="module")
def management(tmp_path_factory):
    """The address of a management frontend on a store of its own."""
    store = tmp_path_factory.mktemp("store") / "clipper.db"
    command = [sys.executable, "-m", "clipper.management.frontend", f"--store={store}", "--management-port=0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        lines = iter(process.stderr.readline, "")
        found = next((match for line in lines if (match := re.search(r"listening on http://(\S+:\d+)", line))), None)
        assert found, "the management frontend ended without listening"
        yield found[1]
        process.terminate()


@pytest.fixture
def connection(management, manager):
    manager.get_admin_addr = lambda: management
    connection = ClipperConnection(manager)
    connection.connect()
    yield connection
    for app in connection.get_all_apps():
        connection.unregister_application(app)
    connection.stop_all_model_containers()
    connection.close()


def deploy(connection, *versions, input_type="doubles"):
    for version in versions:
        image = connection.build_model("m", version, "/model", "default")
        connection.deploy_model("m", version, input_type, image)


def test_a_life_of_an_application(connection):
    connection.register_application("hello-world", "d", "-1.0", 100000)
    info = connection.get_app_info("hello-world")
    assert (info["input_type"], info["default_output"], info["latency_slo_micros"]) == ("doubles", "-1.0", 100000)
    with pytest.raises(ClipperException, match="application 'hello-world' already exists"):
        connection.register_application("hello-world", "d", "-1.0", 100000)
    with pytest.raises(ClipperException, match="No model with name"):
        connection.link_model_to_app("hello-world", "m")
    deploy(connection, 1)
    connection.link_model_to_app("hello-world", "m")
    assert connection.get_linked_models("hello-world") == ["m"]
    connection.unlink_model_from_app("hello-world", "m")
    assert connection.get_linked_models("hello-world") == []
    connection.unregister_application("hello-world")
    assert connection.get_all_apps() == []
    assert connection.get_app_info("hello-world") is None
    with pytest.raises(ClipperException, match="No application with name"):
        connection.get_linked_models("hello-world")


def test_versions_are_listed_in_the_order_of_registration(connection):
    deploy(connection, 10, "b", 9, "a")
    assert connection.get_all_models() == ["m:10", "m:b", "m:9", "m:a"]
    assert connection.get_current_model_version("m") == "a"
    connection.set_model_version("m", 10)
    assert connection.get_model_info("m", 10)["is_current_version"]
    connection.stop_inactive_model_versions(["m"])
    assert connection.get_all_models() == ["m:10"]
    assert connection.get_model_info("m", 9) is None


def test_batching_is_set_for_the_current_version_or_the_one_named(connection):
    deploy(connection, 1, 2)
    connection.set_batching("m", batch_size=16, batch_delay_micros=500)
    connection.set_batching("m", 1, batching="quantile")
    settings = [
        [model[each] for each in ("batch_size", "batching", "batch_delay_micros")]
        for model in connection.get_all_models(verbose=True)
    ]
    assert settings == [[-1, "quantile", 0], [16, "aimd", 500]]
    with pytest.raises(ClipperException, match="Nothing to set: give batch_size"):
        connection.set_batching("m")
    with pytest.raises(ClipperException, match="batching must be 'aimd' or 'quantile'"):
        connection.set_batching("m", batching="best")
    with pytest.raises(ClipperException, match="No model with name 'x' exists"):
        connection.set_batching("x", batch_size=1)


def test_an_ensemble_is_linked_to_several_models(connection):
    connection.register_application("many", "doubles", "0", 1000, selection_policy="majority_vote")
    connection.register_application("one", "doubles", "0", 1000)
    for name in ("a", "b"):
        connection.register_model(name, 1, "doubles")
        connection.link_model_to_app("many", name)
    assert connection.get_linked_models("many") == connection.get_app_info("many")["linked_models"] == ["a", "b"]
    connection.unlink_model_from_app("many", "a")
    assert connection.get_linked_models("many") == ["b"]
    connection.link_model_to_app("one", "a")
    with pytest.raises(ClipperException, match=r"Unlink that one first, or .* set_selection_policy"):
        connection.link_model_to_app("one", "b")
    connection.link_model_to_app("one", "b", shadow=True)
    assert connection.get_app_info("one")["shadow_models"] == ["b"]
    assert connection.get_linked_models("one") == ["a"]


def test_versions_that_can_not_become_current(connection):
    with pytest.raises(ClipperException, match="Cannot set version for nonexistent model 'm'"):
        connection.set_model_version("m", 1)
    deploy(connection, 1)
    with pytest.raises(ClipperException, match="Cannot set non-existent version '2' for model with name 'm'"):
        connection.set_model_version("m", 2)


def test_a_version_of_another_input_type_is_refused(connection, manager):
    connection.register_application("hello-world", "doubles", "0", 1000)
    deploy(connection, 1)
    connection.link_model_to_app("hello-world", "m")
    with pytest.raises(ClipperException, match="is already linked to app 'hello-world' using input type 'doubles'"):
        deploy(connection, 2, input_type="strings")
    assert connection.get_all_models() == ["m:1"]
    assert manager.replicas == {("m", "1"): 1}


def test_no_containers_are_connected(connection):
    assert connection.get_all_model_replicas() == connection.get_all_model_replicas(verbose=True) == []
    assert connection.get_model_replica_info("m", 1, 0) is None


def test_other_selection_policies_reach_the_rules(connection):
    with pytest.raises(ClipperException, match="The selection policy 'single' has no parameter 'eta'"):
        connection.register_application("a", "doubles", "0", 1000, policy_params={"eta": 1})
    with pytest.raises(ClipperException, match="confidence_threshold is 2"):
        connection.register_application("a", "doubles", "0", 1000, confidence_threshold=2.0)


def test_a_life_of_a_choice(connection, tmp_path):
    connection.register_application(
        "many", "doubles", "0", 1000, "hedge", {"eta": 0.5}, confidence_threshold=0.6, loss="absolute", loss_scale=50
    )
    for name in ("a", "b"):
        connection.register_model(name, 1, "doubles")
        connection.link_model_to_app("many", name)
    info = connection.get_app_info("many")
    assert (info["policy_params"], info["loss_scale"]) == ({"eta": 0.5}, 50.0)
    state = connection.get_selection_state("many")
    assert (state["weights"], state["feedbacks"]) == ({"a": 0.5, "b": 0.5}, 0)
    assert connection.get_selection_state("many", 17)["user_id"] == "17"
    connection.set_selection_policy("many", "exp3", {"share": 0.01}, loss="squared", loss_scale=2)
    info = connection.get_app_info("many")
    assert (info["selection_policy"], info["policy_params"], info["loss"]) == ("exp3", {"share": 0.01}, "squared")
    assert (info["confidence_threshold"], info["loss_scale"]) == (0.6, 2.0)
    connection.delete_user_state("ann")
    connection.delete_user_state(17, "many")
    assert connection.export_feedback("many", tmp_path / "many.jsonl") == 0
    with pytest.raises(ClipperException, match="No feedback has scored a model of application 'many' yet"):
        connection.promote_model("many")
    assert connection.promote_model("many", "b") == "b"
    assert connection.get_app_info("many")["selection_policy"] == "single"
    with pytest.raises(ClipperException, match="Unknown selection policy 'best'"):
        connection.set_selection_policy("many", "best")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "..", "größe", "metrics"])
def test_names_of_applications_are_the_rules_business(connection, name):
    with pytest.raises(
        ClipperException, match=r"Received error status code: 400 and message: .*[Ii]nvalid application"
    ):
        connection.register_application(name, "doubles", "0", 1000)
