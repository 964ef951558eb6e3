"""What the management frontend refuses: a clear error, nothing changed, and serving goes on."""

import pytest

from clipper_admin import ClipperException
from clipper_admin.deployers.python import create_endpoint, deploy_python_closure
from tests.integration.conftest import await_link
from tests.integration.models import adding
from tests.integration.rest import ask, outputs, refusal, send

pytestmark = pytest.mark.cluster

APP = {"name": "fresh", "input_type": "doubles", "default_output": "d", "latency_slo_micros": 100_000}
MODEL = {
    "model_name": "fresh",
    "model_version": "1",
    "labels": [],
    "input_type": "doubles",
    "container_name": "c",
    "model_data_path": "d",
    "batch_size": -1,
}

BAD_BODIES = {
    "nothing": (b"", "must be a JSON object"),
    "cut": (b'{"name": "a"', "at character"),
    "array": (b"[]", "must be a JSON object"),
    "number": (b"3", "must be a JSON object"),
    "null": (b"null", "must be a JSON object"),
    "not utf-8": (b'{"name": "\xff"}', "UTF-8"),
    "missing": (b"{}", "field 'name' is missing"),
    "unknown": (b'{"name": "a", "nmae": "b"}', "field 'nmae' is unknown"),
    "wrong type": (b'{"name": 3}', "field 'name'"),
    "no text": (b'{"name": null}', "field 'name'"),
    "half a pair": (b'{"name": "\\ud800"}', "field 'name'"),
}

BAD_FIELDS_OF_AN_APP = [
    *(
        ({"name": name}, 400, "Invalid application name")
        for name in ("", "a b", "a/b", "..", "a..b", "ü", "a\n", "-a")
    ),
    *(({"name": name}, 400, f"Clipper itself answers at /{name}") for name in ("metrics", "health", "admin", "v2")),
    ({"name": "x" * 129}, 400, "129 characters"),
    ({"name": "taken"}, 409, "application 'taken' already exists"),
    *(({"input_type": text}, 400, "not a valid input string") for text in ("", "dbl", "Doubles")),
    ({"default_output": -1.0}, 400, "field 'default_output'"),
    ({"latency_slo_micros": 0}, 400, "latency_slo_micros is 0"),
    ({"latency_slo_micros": -1}, 400, "latency_slo_micros is -1"),
    ({"latency_slo_micros": 1 << 40}, 400, "an hour"),
    ({"latency_slo_micros": 1.5}, 400, "field 'latency_slo_micros'"),
    ({"latency_slo_micros": "100"}, 400, "field 'latency_slo_micros'"),
    ({"selection_policy": "best"}, 400, "choose one of"),
    (
        {"selection_policy": "hedge", "policy_params": {"speed": 1}},
        400,
        "no parameter 'speed': it takes eta, share",
    ),
    ({"selection_policy": "hedge", "policy_params": {"eta": "fast"}}, 400, "eta"),
    ({"selection_policy": "os:system"}, 400, "is not a class"),
    ({"selection_policy": "linucb", "input_type": "strings"}, 400, "strings"),
    ({"loss_scale": 0.0}, 400, "loss_scale"),
    ({"confidence_threshold": 2.0}, 400, "from 0 to 1"),
    ({"loss": "none"}, 400, "choose one of"),
]

BAD_FIELDS_OF_A_MODEL = [
    *(({"model_name": name}, 400, "Invalid model name") for name in ("", "a b", "a/b", "..", "a,b", "a:b", "\x00")),
    *(({"model_version": each}, 400, "Invalid model version") for each in ("", "1 2", "1:2", "../1")),
    ({"model_version": 1}, 400, "field 'model_version'"),
    ({"model_name": "taken"}, 409, "model with name 'taken' and version '1' already exists"),
    ({"model_name": "taken", "model_version": "2", "input_type": "ints"}, 400, "already linked to app 'taken'"),
    ({"labels": ["a,b"]}, 400, "Invalid label"),
    ({"labels": "a"}, 400, "field 'labels'"),
    ({"input_type": "dbl"}, 400, "not a valid input string"),
    ({"batch_size": 0}, 400, "batch size must be positive"),
    ({"batch_size": -2}, 400, "batch size must be positive"),
    ({"batch_size": 1.5}, 400, "field 'batch_size'"),
]

NOT_THERE = [
    ("add_model_links", {"app_name": "nobody", "model_names": ["taken"]}, 404, "No app with name 'nobody' exists."),
    ("add_model_links", {"app_name": "taken", "model_names": ["nobody"]}, 404, "No model with name 'nobody' exists."),
    ("add_model_links", {"app_name": "taken", "model_names": ["texts"]}, 400, "incompatible input_type 'strings'"),
    ("add_model_links", {"app_name": "taken", "model_names": ["taken"]}, 409, "already linked to 'taken'"),
    (
        "add_model_links",
        {"app_name": "taken", "model_names": ["other"]},
        409,
        "model with name taken is already linked",
    ),
    ("add_model_links", {"app_name": "taken", "model_names": []}, 400, "Please provide the name"),
    ("delete_model_links", {"app_name": "taken", "model_names": ["other"]}, 404, "nonexistent link"),
    ("delete_model_links", {"app_name": "nobody", "model_names": []}, 404, "No app with name nobody"),
    ("delete_app", {"name": "nobody"}, 404, "Application 'nobody' does not exist"),
    ("set_model_version", {"model_name": "taken", "model_version": "7"}, 404, "non-existent version '7'"),
    ("set_model_version", {"model_name": "nobody", "model_version": "7"}, 404, "nonexistent model 'nobody'"),
    ("delete_versioned_model", {"model_name": "taken", "model_version": "7"}, 404, "version '7' does not exist"),
    ("get_linked_models", {"app_name": "nobody"}, 404, "No application with name 'nobody'"),
    ("get_state", {"app_name": "nobody", "uid": 0}, 404, "No application with name 'nobody'"),
    ("nothing", {}, 404, "/openapi.json"),
]


@pytest.fixture(scope="module")
def registered(clipper):
    create_endpoint(clipper, "taken", "doubles", adding(), default_output="DEFAULT", slo_micros=10**7)
    clipper.register_model("texts", 1, "strings")
    clipper.register_model("other", 1, "doubles")
    await_link(clipper, "taken", "1")


@pytest.fixture
def refused(registered, clipper, admin_addr, query_addr):
    """Sends a request; the cause of its refusal. Nothing has changed by it."""

    def everything():
        return clipper.get_all_apps(verbose=True), clipper.get_all_models(verbose=True)

    def refused(action, body, status=400, method="POST"):
        before = everything()
        cause = refusal(send(admin_addr, method, f"/admin/{action}", body), status)
        assert everything() == before
        assert outputs([ask(query_addr, "taken", [1.5, 2.0])]) == [3.5]
        return cause

    return refused


@pytest.mark.parametrize("what", BAD_BODIES)
def test_a_body_that_is_no_request(refused, what):
    body, named = BAD_BODIES[what]
    cause = refused("delete_app", body)
    assert named in cause
    assert '"name" := string' in cause


@pytest.mark.parametrize("field", APP)
def test_a_missing_field(refused, field):
    body = {name: value for name, value in APP.items() if name != field}
    assert f"field '{field}' is missing" in refused("add_app", body)


def test_an_application_that_can_not_be(refused):
    for fields, status, named in BAD_FIELDS_OF_AN_APP:
        assert named in refused("add_app", APP | fields, status), fields


def test_a_model_that_can_not_be(refused):
    for fields, status, named in BAD_FIELDS_OF_A_MODEL:
        assert named in refused("add_model", MODEL | fields, status), fields


@pytest.mark.parametrize(("action", "body", "status", "named"), NOT_THERE)
def test_what_is_not_there_or_does_not_fit(refused, action, body, status, named):
    assert named in refused(action, body, status)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method(refused, method):
    assert "use POST" in refused("add_app", None, 405, method)


def test_an_oversize_body(refused):
    assert "larger than 33554432 bytes" in refused("delete_app", b'{"name": "' + b"x" * (33 << 20) + b'"}', 413)


def test_python_refuses_the_same_before_anything_is_started(registered, clipper):
    running = clipper.cm.programs()
    for name in ("Upper", "a b", "a/b", "..", "ü", "", "x" * 64):
        with pytest.raises(ClipperException, match="Invalid value"):
            deploy_python_closure(clipper, name, 1, "doubles", adding())
        with pytest.raises(ClipperException, match="Invalid value"):
            deploy_python_closure(clipper, "fresh", name, "doubles", adding())
    with pytest.raises(ClipperException, match="already exists"):
        deploy_python_closure(clipper, "taken", 1, "doubles", adding())
    with pytest.raises(ClipperException, match="not a valid input string"):
        deploy_python_closure(clipper, "fresh", 1, "dbl", adding())
    with pytest.raises(ClipperException, match="already linked to app 'taken' using input type 'doubles'"):
        deploy_python_closure(clipper, "taken", 2, "ints", adding())
    with pytest.raises(ClipperException, match="default_output must be a str"):
        clipper.register_application("fresh", "doubles", -1.0, 100_000)
    assert clipper.cm.programs() == running
    assert clipper.get_current_model_version("taken") == "1"
