import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipper_admin.connection import ClipperConnection
from clipper_admin.exceptions import ClipperException
from tests.clipper_admin.managers.polling import eventually


def deploy(connection, *versions, name="m", **options):
    for version in versions:
        image = connection.build_model(name, version, "/model", "default")
        connection.deploy_model(name, version, "doubles", image, **options)


def kinds(manager):
    return [call[0] for call in manager.calls]


def test_build_gives_the_tag(connection, manager):
    assert connection.build_model("m", 1, "/model", "base", "registry", ["numpy"]) == "test-cluster-m:1"
    assert manager.calls[-1] == ("build_image", "m", "1", "base", "registry", ["numpy"])
    with pytest.raises(ClipperException, match=r"pkgs_to_install must be a list of packages: write \['numpy'\]"):
        connection.build_model("m", 1, "/model", "base", pkgs_to_install="numpy")


def test_replicas_are_ready_before_the_version_is_registered(connection, manager, server, messages):
    known = []
    start = manager.deploy_model
    manager.deploy_model = lambda *args: (known.append(dict(server.registry.models)), start(*args))
    connection.build_and_deploy_model("m", 1, "d", "/model", "default", labels=["x"], num_replicas=2, batch_size=9)
    assert known == [{}]
    assert ("deploy_model", "m", "1", "doubles", "test-cluster-m:1", 2) in manager.calls
    info = connection.get_model_info("m", 1)
    assert (info["labels"], info["batch_size"], info["container_name"]) == (["x"], 9, "test-cluster-m:1")
    assert [line.removeprefix("[test-cluster] ") for line in messages()[-2:]] == [
        "Successfully registered model m:1",
        "Done deploying model m:1.",
    ]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "My_Model"}, "Invalid value: My_Model: a model name"),
        ({"version": "1.0"}, "Invalid value: 1.0: a model version"),
        ({"version": 1.0}, "must be a str or an int"),
        ({"input_type": "json"}, "'json' is not a valid input string"),
        ({"num_replicas": 0}, "num_replicas must be 1 or more"),
        ({"num_replicas": 1.5}, "num_replicas must be 1 or more, a whole number, not 1.5"),
        ({"num_replicas": "2"}, "num_replicas must be 1 or more, a whole number, not '2'"),
        ({"batch_size": 0}, "The batch size must be positive"),
        ({"batch_size": 1.5}, "The batch size must be positive"),
        ({"batch_size": 2**40}, "The batch size must be positive"),
        ({"labels": "x"}, "labels must be a list"),
        ({"labels": ["a:b"]}, "The label 'a:b' holds"),
        (
            {"name": "old", "version": 2, "input_type": "s"},
            "is already linked to app 'app' using input type 'doubles'",
        ),
        ({"name": "old"}, r"already exists: .*stop_versioned_models\(\{'old': \['1'\]\}\)"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(connection, manager, change, error):
    connection.register_model("old", 1, "doubles")
    connection.register_application("app", "doubles", "0", 1000)
    connection.link_model_to_app("app", "old")
    arguments = {"name": "m", "version": 1, "input_type": "doubles", **change}
    with pytest.raises(ClipperException, match=error):
        connection.deploy_model(image="image", **arguments)
    with pytest.raises(ClipperException, match=error):
        connection.build_and_deploy_model(model_data_path="/model", base_image="default", **arguments)
    assert kinds(manager) == ["connect"]


def test_a_failed_registration_takes_the_replicas_back(connection, manager, server):
    server.registry.failures["/admin/add_model"] = (400, {"error": "Bad request", "cause": "incompatible"})
    with pytest.raises(ClipperException, match="incompatible"):
        deploy(connection, 1)
    assert manager.calls[-1] == ("set_num_replicas", "m", "1", "doubles", "test-cluster-m:1", 0)
    with pytest.raises(ClipperException, match="incompatible"):
        connection.build_and_deploy_model("m", 2, "doubles", "/model", "default")
    assert manager.calls[-1] == ("stop_models", {"m": ["2"]})


@pytest.mark.parametrize("failing", ["build_image", "deploy_model"])
def test_nothing_is_left_of_a_version_that_was_not_deployed(connection, manager, failing):
    manager.fails[failing] = "no"
    with pytest.raises(ClipperException, match="no"):
        connection.build_and_deploy_model("m", 1, "doubles", "/model", "default")
    assert manager.calls[-1] == ("stop_models", {"m": ["1"]})


def test_a_version_registered_meanwhile_does_not_keep_our_replicas(connection, manager, server):
    start = manager.deploy_model

    def race(*args):
        start(*args)
        server.registry.add_model("m", "1", container_name="theirs")
        server.registry.failures["/admin/add_model"] = (400, {"error": "Bad request", "cause": "already exists"})

    manager.deploy_model = race
    with pytest.raises(ClipperException, match="already exists"):
        connection.build_and_deploy_model("m", 1, "doubles", "/model", "default")
    assert manager.replicas == {}


def test_a_registration_whose_answer_was_lost_keeps_its_replicas(connection, manager, server):
    start = manager.deploy_model

    def lose_the_answer(*args):
        start(*args)
        server.registry.add_model("m", "1", container_name="test-cluster-m:1")
        server.registry.failures["/admin/add_model"] = (500, "lost")

    manager.deploy_model = lose_the_answer
    with pytest.raises(ClipperException, match="lost"):
        connection.build_and_deploy_model("m", 1, "doubles", "/model", "default")
    assert manager.replicas == {("m", "1"): 1}


def test_of_two_deploys_at_once_the_second_finds_the_first(connection, manager):
    """The second has passed its first check, and waits, before the first has started anything."""
    second = ClipperConnection(manager)
    second.connect()
    start, ready = manager.deploy_model, threading.Event()
    manager.deploy_model = lambda *args: (ready.wait(10), start(*args))
    refuse = second.check_deployable
    second.check_deployable = lambda *args, **options: (refuse(*args, **options), ready.set())
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(connection.build_and_deploy_model, "m", 1, "doubles", "/model", "default")
        eventually(lambda: "build_image" in kinds(manager))
        with pytest.raises(ClipperException, match="'m' and version '1' already exists"):
            second.build_and_deploy_model("m", 1, "doubles", "/model", "default")
        first.result(10)
    assert kinds(manager) == ["connect", "connect", "build_image", "deploy_model"]
    second.close()


def test_replicas_that_a_killed_deploy_left_do_not_hinder_the_next(connection, manager, messages):
    manager.replicas["m", "1"] = 2
    connection.build_and_deploy_model("m", 1, "doubles", "/model", "default")
    assert kinds(manager) == ["connect", "stop_models", "build_image", "deploy_model"]
    manager.replicas["m", "2"] = 1
    connection.deploy_model("m", 2, "doubles", "built-before")
    assert manager.calls[-2:] == [
        ("set_num_replicas", "m", "2", "doubles", "built-before", 0),
        ("deploy_model", "m", "2", "doubles", "built-before", 1),
    ]
    assert "[test-cluster] Stopping 1 replicas of m:2 that a deploy cut short has left" in messages()


def test_an_undo_that_fails_does_not_hide_the_error(connection, manager, server, messages):
    server.registry.failures["/admin/add_model"] = (400, "first")
    manager.fails["stop_models"] = "second"
    with pytest.raises(ClipperException, match="first"):
        connection.build_and_deploy_model("m", 1, "doubles", "/model", "default")
    assert messages()[-1] == "[test-cluster] The replicas of m:1 could not be stopped: second"


def test_stop_models_stops_and_unregisters_every_version(connection, manager, messages):
    deploy(connection, 1, 2)
    deploy(connection, 1, name="other")
    connection.stop_models(["m"])
    assert connection.get_all_models() == ["other:1"]
    assert manager.replicas == {("other", "1"): 1}
    assert messages()[-3:] == [
        "[test-cluster] Model m:1 was successfully deleted",
        "[test-cluster] Model m:2 was successfully deleted",
        "[test-cluster] Stopped all containers for these models and versions:\n{'m': ['1', '2']}",
    ]


def test_stop_versioned_models_takes_ints(connection, manager):
    deploy(connection, 1, 2)
    connection.stop_versioned_models({"m": [1]})
    assert connection.get_all_models() == ["m:2"]
    assert manager.replicas == {("m", "2"): 1}


def test_stopping_a_version_that_is_not_there_stops_nothing(connection, manager):
    deploy(connection, 1)
    with pytest.raises(ClipperException, match=r"'m' and version '7' does not exist, nothing was stopped.*'m': 1"):
        connection.stop_versioned_models({"m": [1, 7]})
    assert manager.replicas == {("m", "1"): 1}


def test_replicas_that_a_killed_session_left_can_be_stopped(connection, manager):
    manager.replicas["m", "1"] = 2
    connection.stop_versioned_models({"m": [1]})
    assert manager.replicas == {}
    deploy(connection, 1)
    manager.replicas |= {("m", "2"): 1, ("gone", "1"): 1}
    connection.stop_models(["m", "gone"])
    assert manager.replicas == {}
    assert connection.get_all_models() == []


def test_stopping_an_unknown_model_is_a_warning(connection, manager, messages):
    connection.stop_models("nothing")
    assert "[test-cluster] Model nothing is not registered with Clipper." in messages()


def test_inactive_versions_are_all_but_the_current_one(connection, manager):
    deploy(connection, 1, num_replicas=2)
    deploy(connection, 2, num_replicas=3)
    connection.stop_inactive_model_versions(["m"])
    assert connection.get_all_models() == ["m:2"]
    assert manager.replicas == {("m", "2"): 3}


def test_stop_all_model_containers(connection, manager, messages):
    deploy(connection, 1)
    deploy(connection, 1, name="other")
    connection.stop_all_model_containers()
    assert connection.get_all_models() == []
    assert manager.replicas == {}
    assert messages()[-1] == "[test-cluster] Stopped all Clipper model containers:\n{'m': ['1'], 'other': ['1']}"
