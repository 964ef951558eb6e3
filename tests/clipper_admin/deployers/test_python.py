import sys
import threading
from pathlib import Path

import pytest

from clipper_admin.deployers.python import create_endpoint, deploy_python_closure
from clipper_admin.exceptions import ClipperException


def _model():
    def feature_sum(xs):
        return [str(sum(x)) for x in xs]

    return feature_sum


# As in a notebook, not a function of the module `tests`, which would have all of it carried along.
feature_sum = _model()


def deploy(connection, **changes):
    arguments = {"name": "sum-model", "version": 1, "input_type": "doubles", "func": feature_sum, **changes}
    deploy_python_closure(connection, **arguments)


def test_a_closure_deploys(connection, manager, messages):
    saved = []
    build = manager.build_image
    manager.build_image = lambda *args: (saved.extend(path.name for path in Path(args[2]).iterdir()), build(*args))[1]
    deploy(connection, labels=["x"], registry="r", num_replicas=2, batch_size=3, pkgs_to_install=["numpy"])
    assert "func.pkl" in saved
    assert ("build_image", "sum-model", "1", "default", "r", ["numpy"]) in manager.calls
    assert manager.replicas == {("sum-model", "1"): 2}
    assert connection.get_model_info("sum-model", 1)["batch_size"] == 3
    assert not Path(manager.seen[0]).exists()
    lines = [line.removeprefix("[test-cluster] ") for line in messages()]
    assert lines[0].startswith("Saving function to ")
    assert [line for line in lines[1:] if not line.startswith("Carrying")] == [
        "Serialized and supplied predict function",
        "Python closure saved",
        f"Using Python {sys.version_info.major}.{sys.version_info.minor} ({sys.executable})",
        "Successfully registered model sum-model:1",
        "Done deploying model sum-model:1.",
    ]


@pytest.mark.parametrize("deployed", [deploy_python_closure, create_endpoint])
def test_batching_travels_with_a_closure(connection, deployed):
    sized = {"batch_size": 3, "batching": "quantile", "batch_delay_micros": -1}
    deployed(connection, name="sum", version=1, input_type="doubles", func=feature_sum, **sized)
    info = connection.get_model_info("sum", 1)
    assert {each: info[each] for each in sized} == sized


def test_another_base_image_is_said(connection, messages):
    deploy(connection, base_image="mine:1")
    assert "Using base image mine:1" in messages()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": "No Good"}, "Invalid value"),
        ({"input_type": "json"}, "not a valid input string"),
        ({"func": 3}, "must be callable"),
        ({"batching": "best"}, "batching must be 'aimd' or 'quantile', not 'best'"),
        ({"batch_delay_micros": -2}, "batch_delay_micros must be 0"),
    ],
)
def test_mistakes_are_found_before_anything_is_built(connection, manager, change, error):
    with pytest.raises(ClipperException, match=error):
        deploy(connection, **change)
    assert [call[0] for call in manager.calls] == ["connect"]


def test_no_directory_is_left_when_the_deploy_fails(connection, manager):
    manager.fails["deploy_model"] = "Traceback ... ZeroDivisionError"
    with pytest.raises(ClipperException, match="ZeroDivisionError"):
        deploy(connection)
    assert not Path(manager.seen[0]).exists()
    assert connection.get_all_models() == []


def test_an_endpoint_is_an_application_a_model_and_a_link(connection, manager, server):
    create_endpoint(connection, "sum", "doubles", feature_sum)
    app = connection.get_app_info("sum")
    assert (app["default_output"], app["latency_slo_micros"]) == ("None", 3000000)
    assert app["linked_models"] == ["sum"]
    assert manager.replicas == {("sum", "1"): 1}


def test_an_endpoint_that_can_not_be_deployed_leaves_no_application(connection, manager):
    manager.fails["deploy_model"] = "no"
    with pytest.raises(ClipperException, match="no"):
        create_endpoint(connection, "sum", "doubles", feature_sum)
    assert connection.get_all_apps() == connection.get_all_models() == []


def test_an_endpoint_that_can_not_be_linked_goes_back_to_what_was(connection, manager, server):
    deploy(connection, name="sum", version="old")
    server.registry.failures["/admin/add_model_links"] = (400, "no link")
    with pytest.raises(ClipperException, match="no link"):
        create_endpoint(connection, "sum", "doubles", feature_sum, version="new")
    assert connection.get_all_apps() == []
    assert connection.get_all_models() == ["sum:old"]
    assert connection.get_current_model_version("sum") == "old"
    assert manager.replicas == {("sum", "old"): 1}


def test_an_endpoint_of_a_name_that_is_taken_touches_nothing(connection, manager):
    connection.register_application("sum", "doubles", "0", 1000)
    with pytest.raises(ClipperException, match="application 'sum' already exists"):
        create_endpoint(connection, "sum", "doubles", feature_sum)
    assert connection.get_all_apps() == ["sum"]
    assert manager.replicas == {}


def test_an_undo_that_fails_is_only_a_warning(connection, manager, server, messages):
    lock = threading.Lock()
    server.registry.failures["/admin/delete_app"] = (500, "broken")
    with pytest.raises(ClipperException, match="variable 'lock'"):
        create_endpoint(connection, "sum", "doubles", lambda xs: lock)
    assert messages()[-1].startswith(
        "[test-cluster] Cleaning up after a failed deploy: Received error status code: 500"
    )
