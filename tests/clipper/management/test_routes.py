"""Every endpoint over HTTP: bodies in, texts and objects out (reference 3.1, 3.2)."""

import pytest
from msgspec import structs

from clipper.types import Replica

APP = {"name": "hello-world", "input_type": "doubles", "default_output": "-1.0", "latency_slo_micros": 100_000}
MODEL = {
    "model_name": "sum-model",
    "model_version": "1",
    "labels": ["a", "b c"],
    "input_type": "d",
    "container_name": "default-cluster-sum-model:1",
    "model_data_path": "DEPRECATED",
    "batch_size": -1,
}
LINK = {"app_name": "hello-world", "model_names": ["sum-model"]}
VERSION = {"model_name": "sum-model", "model_version": "1"}

APP_ANSWER = {
    **APP,
    "linked_models": ["sum-model"],
    "shadow_models": [],
    "selection_policy": "single",
    "policy_params": {},
    "confidence_threshold": 0.0,
    "loss": "zero_one",
    "loss_scale": 1.0,
}
MODEL_ANSWER = {
    **MODEL,
    "input_type": "doubles",
    "batching": "aimd",
    "batch_delay_micros": 0,
    "is_current_version": True,
}


@pytest.fixture
def registered(post):
    """The quickstart's application and model, linked."""
    for endpoint, body in (("add_app", APP), ("add_model", MODEL), ("add_model_links", LINK)):
        assert post(endpoint, body).status_code == 200


def replica(replica_id, frontend, version="1"):
    return Replica(
        model_name="sum-model",
        model_version=version,
        replica_id=replica_id,
        input_type="doubles",
        frontend=frontend,
    )


def test_ping(client):
    answer = client.get("/admin/ping")
    assert (answer.status_code, answer.text) == (200, "PONG")
    assert answer.headers["content-type"].startswith("text/plain")


def test_the_texts_of_success(post):
    for endpoint, body, text in (
        ("add_app", APP, "Successfully added application with name 'hello-world'"),
        ("add_model", MODEL, "Successfully added model with name 'sum-model' and input type 'doubles'"),
        ("add_model_links", LINK, "Successfully linked model with name 'sum-model' to application 'hello-world'"),
        ("set_model_version", VERSION, "Successfully set model with name 'sum-model' to version '1'"),
        ("set_batching", {**VERSION, "batch_size": 1}, "Successfully set batching of model with name 'sum-model'"),
        ("delete_model_links", LINK, "Success!"),
        (
            "delete_versioned_model",
            VERSION,
            "Successfully deleted model with name 'sum-model' and version '1'",
        ),
        ("delete_app", {"name": "hello-world"}, "Successfully deleted application with name 'hello-world'"),
    ):
        answer = post(endpoint, body)
        assert (answer.status_code, answer.text) == (200, text)
        assert answer.headers["content-type"].startswith("text/plain")
    for endpoint in ("get_all_applications", "get_all_models"):
        assert post(endpoint, {"verbose": False}).json() == []


def test_applications(post, registered):
    assert post("get_application", {"name": "hello-world"}).json() == APP_ANSWER
    assert post("get_all_applications", {"verbose": True}).json() == [APP_ANSWER]
    assert post("get_all_applications", {"verbose": False}).json() == ["hello-world"]


@pytest.mark.parametrize("verbose", [True, False])
@pytest.mark.parametrize("endpoint", ["get_all_applications", "get_all_models", "get_all_containers"])
def test_nothing_is_listed_when_nothing_is_there(post, endpoint, verbose):
    answer = post(endpoint, {"verbose": verbose})
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("get_application", {"name": "nope"}),
        ("get_model", {"model_name": "nope", "model_version": "1"}),
        ("get_container", {"model_name": "nope", "model_version": "1", "replica_id": 0}),
    ],
)
def test_the_unknown_is_an_empty_object(post, endpoint, body):
    answer = post(endpoint, body)
    assert (answer.status_code, answer.text) == (200, "{}")


def test_an_application_with_its_selection(post):
    chosen = {"selection_policy": "hedge", "policy_params": {"eta": 0.5}, "confidence_threshold": 1}
    chosen |= {"loss": "absolute", "loss_scale": 20}
    post("add_app", {**APP, **chosen})
    assert post("get_application", {"name": "hello-world"}).json() == {**APP_ANSWER, **chosen, "linked_models": []}


def test_a_deleted_application_is_gone(post, registered):
    post("delete_app", {"name": "hello-world"})
    assert post("get_application", {"name": "hello-world"}).json() == {}
    post("add_app", APP)
    assert post("get_linked_models", {"app_name": "hello-world"}).json() == []


def test_models(post, registered):
    second = {**MODEL, "model_version": "2", "labels": [], "batch_size": 8}
    post("add_model", second)

    first_answer = {**MODEL_ANSWER, "is_current_version": False}
    second_answer = {**MODEL_ANSWER, **second, "input_type": "doubles"}
    assert post("get_model", VERSION).json() == first_answer
    assert post("get_all_models", {"verbose": True}).json() == [first_answer, second_answer]
    assert post("get_all_models", {"verbose": False}).json() == ["sum-model:1", "sum-model:2"]

    post("set_model_version", VERSION)
    assert post("get_model", VERSION).json()["is_current_version"] is True


def test_batching(post, registered):
    second = {**MODEL, "model_version": "2", "batching": "quantile", "batch_delay_micros": -1}
    post("add_model", second)
    assert post("get_model", {**VERSION, "model_version": "2"}).json() == {
        **MODEL_ANSWER,
        **second,
        "input_type": "doubles",
    }

    post("set_batching", {"model_name": "sum-model", "batch_size": 4})
    post("set_batching", {**VERSION, "batching": "quantile", "batch_delay_micros": 500})
    first, second = post("get_all_models", {"verbose": True}).json()
    told = ("batch_size", "batching", "batch_delay_micros")
    assert [first[each] for each in told] == [-1, "quantile", 500]
    assert [second[each] for each in told] == [4, "quantile", -1]


def test_several_models_of_an_ensemble(post, registered):
    post("add_app", {**APP, "name": "many", "selection_policy": "majority_vote"})
    post("add_model", {**MODEL, "model_name": "second"})
    post("add_model_links", {"app_name": "many", "model_names": ["second"]})
    post("add_model_links", {"app_name": "many", "model_names": ["sum-model"]})
    assert post("get_linked_models", {"app_name": "many"}).json() == ["second", "sum-model"]
    post("delete_model_links", {"app_name": "many", "model_names": ["second"]})
    assert post("get_application", {"name": "many"}).json()["linked_models"] == ["sum-model"]


def test_linked_models(post, registered):
    assert post("get_linked_models", {"app_name": "hello-world"}).json() == ["sum-model"]
    answer = post("get_linked_models", {"app_name": "nope"})
    assert answer.status_code == 404
    assert answer.json() == {"error": "Not found", "cause": "No application with name 'nope' exists."}


def test_containers_are_merged_over_frontends(post, store):
    store.report("b", 0, [replica(0, "b"), replica(1, "b"), replica(0, "b", version="2")])
    store.report("a", 0, [replica(0, "a"), replica(10, "a")])

    answer = {
        "model_id": "sum-model:1",
        "model_name": "sum-model",
        "model_version": "1",
        "model_replica_id": 0,
        "input_type": "doubles",
        "frontends": ["a", "b"],
        "metrics_address": "",
    }
    names = ["sum-model:1:0", "sum-model:1:1", "sum-model:1:10", "sum-model:2:0"]
    assert post("get_all_containers", {"verbose": False}).json() == names
    assert post("get_all_containers", {"verbose": True}).json()[0] == answer
    assert post("get_container", {**VERSION, "replica_id": 0}).json() == answer
    assert post("get_container", {**VERSION, "replica_id": 1}).json()["frontends"] == ["b"]
    assert post("get_container", {**VERSION, "replica_id": 2}).json() == {}


def test_metrics_targets_are_as_reported(client, store):
    def container(number, frontend, address, version="1"):
        return structs.replace(replica(number, frontend, version), metrics_address=address)

    assert client.get("/admin/metrics_targets").json() == []
    store.report("a", 0, [container(0, "a", "c:1"), container(1, "a", "c:2")], "front:1337")
    store.report("b", 0, [container(0, "b", "c:1"), replica(7, "b"), container(0, "b", "c:3", "2")], "front:1337")
    store.report("c", 0, [], "other:1337")
    store.report("d", 0, [])

    def of_container(address, version, number):
        own = {"job": "clipper-containers", "model": "sum-model", "version": version, "replica": number}
        return {"targets": [address], "labels": own}

    answer = client.get("/admin/metrics_targets")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [
        {"targets": ["front:1337"], "labels": {"job": "clipper-frontends", "frontend": "a,b"}},
        {"targets": ["other:1337"], "labels": {"job": "clipper-frontends", "frontend": "c"}},
        of_container("c:1", "1", "0"),
        of_container("c:2", "1", "1"),
        of_container("c:3", "2", "0"),
    ]


@pytest.mark.parametrize("uid", [0, 7, "alice"])
@pytest.mark.parametrize("default_output", ["-1.0", '{"a": "é"}', ""])
def test_state_is_the_default_output(post, uid, default_output):
    post("add_app", {**APP, "default_output": default_output})
    answer = post("get_state", {"app_name": "hello-world", "uid": uid})
    assert (answer.status_code, answer.text) == (200, default_output)


def test_state_of_an_unknown_application(post):
    answer = post("get_state", {"app_name": "nope", "uid": 0})
    assert answer.status_code == 404
    assert answer.json()["cause"] == "No application with name 'nope' exists."


@pytest.mark.parametrize(
    ("endpoint", "body", "status", "title", "cause"),
    [
        ("add_app", APP, 409, "Conflict", "application 'hello-world' already exists"),
        ("delete_app", {"name": "nope"}, 404, "Not found", "Application 'nope' does not exist"),
        ("add_model_links", {**LINK, "app_name": "x"}, 404, "Not found", "No app with name 'x' exists."),
        (
            "add_model_links",
            LINK,
            409,
            "Conflict",
            "The model with name 'sum-model' is already linked to 'hello-world'",
        ),
        ("delete_model_links", {**LINK, "app_name": "x"}, 404, "Not found", "No app with name x exists."),
        (
            "add_model",
            {**MODEL, "batch_size": 0},
            400,
            "Bad request",
            "The batch size must be positive or DEFAULT_BATCH_SIZE, which is -1",
        ),
        (
            "add_model",
            MODEL,
            409,
            "Conflict",
            "model with name 'sum-model' and version '1' already exists",
        ),
        (
            "set_model_version",
            {**VERSION, "model_version": "9"},
            404,
            "Not found",
            "Cannot set non-existent version '9' for model with name 'sum-model'",
        ),
        (
            "set_batching",
            VERSION,
            400,
            "Bad request",
            "Nothing to set: give batch_size, batching or batch_delay_micros",
        ),
        (
            "set_batching",
            {"model_name": "sum-model", "batching": "aimd", "batch_size": 0},
            400,
            "Bad request",
            "The batch size must be positive or DEFAULT_BATCH_SIZE, which is -1",
        ),
        (
            "delete_versioned_model",
            {**VERSION, "model_version": "9"},
            404,
            "Not found",
            "model with name 'sum-model' and version '9' does not exist",
        ),
    ],
)
def test_refusals_of_rules(post, registered, endpoint, body, status, title, cause):
    answer = post(endpoint, body)
    assert (answer.status_code, answer.json()) == (status, {"error": title, "cause": cause})
    assert post("get_application", {"name": "hello-world"}).json() == APP_ANSWER
    assert post("get_all_models", {"verbose": True}).json() == [MODEL_ANSWER]


def test_openapi_describes_every_endpoint(client):
    paths = client.get("/openapi.json").json()["paths"]
    posts = {
        path
        for path, operations in paths.items()
        if "post" in operations and {"200", "4XX", "5XX"} == operations["post"]["responses"].keys()
    }
    names = (
        "add_app delete_app add_model_links delete_model_links add_model set_model_version set_batching "
        "delete_versioned_model get_all_applications get_application get_linked_models get_all_models get_model "
        "get_all_containers get_container get_state set_selection_policy promote_model get_selection_state "
        "delete_user_state"
    )
    assert posts == {f"/admin/{name}" for name in names.split()}
    gets = {"/admin/ping", "/admin/feedback", "/admin/metrics_targets", "/health/live", "/health/ready"}
    assert paths.keys() - posts == gets
