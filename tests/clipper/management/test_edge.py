"""Bad requests and failures of the store: JSON errors that say what to do, and a frontend that lives on."""

import asyncio
import contextlib
import logging
import sqlite3
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipper.errors import StoreError
from clipper.management import edge
from clipper.management.frontend import create_app
from clipper.store.sqlite import SqliteStore
from tests.clipper.management.conftest import BODY_LIMIT, Client

JSON = {"Content-Type": "application/json"}
APP = {"name": "a", "input_type": "doubles", "default_output": "", "latency_slo_micros": 1}
MODEL = {
    "model_name": "m",
    "model_version": "1",
    "labels": [],
    "input_type": "doubles",
    "container_name": "c",
    "model_data_path": "p",
    "batch_size": -1,
}
BODIES = {
    "add_app": APP,
    "delete_app": {"name": "a"},
    "add_model_links": {"app_name": "a", "model_names": ["m"]},
    "delete_model_links": {"app_name": "a", "model_names": ["m"]},
    "add_model": MODEL,
    "set_model_version": {"model_name": "m", "model_version": "1"},
    "delete_versioned_model": {"model_name": "m", "model_version": "1"},
    "get_all_applications": {"verbose": True},
    "get_application": {"name": "a"},
    "get_linked_models": {"app_name": "a"},
    "get_all_models": {"verbose": True},
    "get_model": {"model_name": "m", "model_version": "1"},
    "get_all_containers": {"verbose": True},
    "get_container": {"model_name": "m", "model_version": "1", "replica_id": 0},
    "get_state": {"app_name": "a", "uid": 0},
    "set_selection_policy": {"app_name": "a", "policy": "single"},
    "promote_model": {"app_name": "a"},
    "get_selection_state": {"app_name": "a"},
    "delete_user_state": {"user_id": "ann"},
}
FIELDS = [(endpoint, field) for endpoint, body in BODIES.items() for field in body]


class Broken:
    """A store, or a journal, whose every use fails."""

    def __init__(self, error):
        self.error = error

    def read(self):
        raise self.error

    export = forget_app = lambda self, *_: self.read()


@pytest.fixture(scope="module")
def post_malformed():
    """Sends a body that must not get as far as the store."""
    broken = Broken(AssertionError("the store was asked"))
    client = Client(create_app(broken, broken))
    return lambda endpoint, **options: client.post(f"/admin/{endpoint}", **options)


def refused(answer, status, error):
    """The cause, once the rest is checked."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"error", "cause"}
    assert answer.json()["error"] == error
    return answer.json()["cause"]


@pytest.mark.parametrize(("endpoint", "field"), FIELDS)
def test_a_missing_field_is_named(post_malformed, endpoint, field):
    body = {name: value for name, value in BODIES[endpoint].items() if name != field}
    cause = refused(post_malformed(endpoint, json=body), 400, "Json error")
    assert cause.startswith(f"Error parsing JSON: field '{field}' is missing. Expected JSON schema: \n  {{\n")
    assert f'   "{field}" := ' in cause


@pytest.mark.parametrize(("endpoint", "field"), FIELDS)
def test_a_field_of_the_wrong_type_is_named(post_malformed, endpoint, field):
    for value in (None, {"a": 1}, 1.5):
        cause = refused(post_malformed(endpoint, json={**BODIES[endpoint], field: value}), 400, "Json error")
        assert cause.startswith(f"Error parsing JSON: field '{field}': Input should be a valid ")


@pytest.mark.parametrize("endpoint", BODIES)
def test_an_unknown_field_is_named(post_malformed, endpoint):
    cause = refused(post_malformed(endpoint, json={**BODIES[endpoint], "colour": 1}), 400, "Json error")
    assert cause.startswith("Error parsing JSON: field 'colour' is unknown. Expected JSON schema: ")


def test_all_that_is_wrong_is_told_at_once(post_malformed):
    cause = refused(post_malformed("add_model_links", json={"model_names": ["m", 2], "x": 1}), 400, "Json error")
    assert cause == (
        "Error parsing JSON: field 'app_name' is missing; field 'model_names[1]': Input should be a valid string; "
        "field 'x' is unknown. Expected JSON schema: \n"
        '  {\n   "app_name" := string,\n   "model_names" := [string],\n   "shadow" := boolean (optional),\n  }\n'
    )


def test_nothing_is_converted(post_malformed):
    for field, value in (("latency_slo_micros", "1"), ("latency_slo_micros", True), ("confidence_threshold", True)):
        cause = refused(post_malformed("add_app", json={**APP, field: value}), 400, "Json error")
        assert f"field '{field}'" in cause
    assert "field 'verbose'" in refused(post_malformed("get_all_models", json={"verbose": 1}), 400, "Json error")


@pytest.mark.parametrize("endpoint", BODIES)
def test_malformed_json(post_malformed, endpoint):
    cause = refused(post_malformed(endpoint, content=b'{"name": ', headers=JSON), 400, "Json error")
    assert cause.startswith("Error parsing JSON: Expecting value at character 9. Expected JSON schema: ")


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"null", b'"a"'])
def test_a_body_that_is_no_object(post_malformed, content):
    cause = refused(post_malformed("delete_app", content=content, headers=JSON), 400, "Json error")
    assert cause.startswith("Error parsing JSON: the body must be a JSON object, sent with Content-Type: ")


def test_a_form_is_told_about_the_content_type(post_malformed):
    """Not being served, it also keeps web pages of elsewhere from posting here without asking the browser."""
    answer = post_malformed("add_app", content=b"{}", headers={"Content-Type": "text/plain"})
    assert "sent with Content-Type: application/json" in refused(answer, 400, "Json error")


@pytest.mark.parametrize("content", [b'{"name": "\xff"}', b"[" * 9_000, b'{"name": ' + b"9" * 5_000 + b"}"])
def test_json_that_can_not_be_read(post_malformed, content):
    cause = refused(post_malformed("delete_app", content=content, headers=JSON), 400, "Json error")
    assert cause.startswith("Error parsing JSON: ")


@pytest.mark.parametrize("endpoint", ["delete_app", "get_application"])
def test_half_a_surrogate_pair_is_no_string(post_malformed, endpoint):
    answer = post_malformed(endpoint, content=rb'{"name": "\ud800"}', headers=JSON)
    assert "field 'name': Input should be a valid string" in refused(answer, 400, "Json error")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FIELDS), json_values)
def test_no_value_of_a_field_is_a_bug(post, place, value):
    endpoint, field = place
    body = {**BODIES[endpoint], field: value}
    with contextlib.suppress(ValueError):  # httpx sends no NaN
        answer = post(endpoint, body)
        assert answer.status_code in (200, 400, 404, 409)
        assert answer.status_code == 200 or answer.json().keys() == {"error", "cause"}


def test_not_a_number_is_refused(client):
    body = b'{"name":"a","input_type":"d","default_output":"","latency_slo_micros":1,"confidence_threshold":NaN}'
    answer = client.post("/admin/add_app", content=body, headers=JSON)
    assert refused(answer, 400, "Bad request") == "confidence_threshold is nan: it must be from 0 to 1"


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ("", "field 'app_name' is missing"),
        ("app_name=a&limit=0", "field 'limit': Input should be greater than or equal to 1"),
        ("app_name=a&limit=10001&after=-1", "field 'limit': Input should be less than or equal to 10000"),
        (
            "app_name=a&after=x",
            "field 'after': Input should be a valid integer, unable to parse string",
        ),
        ("app_name=a&colour=1", "field 'colour' is unknown"),
    ],
)
def test_a_query_string_that_can_not_be_read(client, query, cause):
    answer = client.get(f"/admin/feedback?{query}")
    told = refused(answer, 400, "Bad request")
    assert told.startswith("the query string: ")
    assert cause in told


@pytest.mark.parametrize("path", ["/", "/admin", "/admin/", "/admin/nope", "/admin/add_app/", "/predict", "/%00é"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_paths(client, method, path):
    assert "/openapi.json lists the endpoints" in refused(client.request(method, path), 404, "Not found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/admin/add_app", "POST"), ("PUT", "/admin/get_state", "POST"), ("POST", "/admin/ping", "GET")],
)
def test_wrong_methods(client, method, path, allowed):
    answer = client.request(method, path)
    cause = refused(answer, 405, "Method not allowed")
    assert cause == f"{method} does not go with {path}: use {allowed}"
    assert answer.headers["allow"] == allowed


async def in_chunks(size):
    for _ in range(0, size, 1_000):
        yield b" " * 1_000


def test_oversize_bodies(client, post):
    cause = f"the body is larger than {BODY_LIMIT} bytes: send a smaller one"
    answer = post("add_app", {**APP, "default_output": "x" * BODY_LIMIT})
    assert refused(answer, 413, "Payload too large") == cause
    answer = client.post("/admin/add_app", content=in_chunks(BODY_LIMIT + 1_000), headers=JSON)
    assert "content-length" not in answer.request.headers
    assert refused(answer, 413, "Payload too large") == cause


def test_a_body_of_the_largest_size_is_read(client):
    answer = client.post("/admin/delete_app", content=b'{"name":"a"}'.ljust(BODY_LIMIT), headers=JSON)
    assert refused(answer, 404, "Not found") == "Application 'a' does not exist"


def run_edge(app, receive, **options):
    """The status and the cause that the edge answers with on its own, None if it doesn't answer."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/admin/add_app", "headers": []}
    limits = {"body_limit": 10, "body_timeout": 30, **options}
    asyncio.run(edge.Edge(app, **limits)(scope, receive, send))
    return (sent[0]["status"], sent[1]["body"].decode()) if sent else None


async def never_called(scope, receive, send):
    raise AssertionError("the application must not see this request")


def test_a_body_that_does_not_end_is_given_up():
    async def receive():
        await asyncio.Event().wait()

    status, body = run_edge(never_called, receive, body_timeout=0.01)
    assert status == 408
    assert "the body did not arrive within 0.01 s: send it again" in body


def test_a_client_that_went_away_is_forgotten():
    messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"{", "more_body": True}]

    async def receive():
        return messages.pop()

    assert run_edge(never_called, receive) is None


@pytest.mark.parametrize("host", ["localhost", "localhost:1338", "127.0.0.1", "[::1]:1338", "10.0.0.1:80", "0.0.0.0"])
def test_hosts_that_no_page_can_have(client, host):
    local = Client(client.app, "http://127.0.0.1:1338")
    assert local.get("/admin/ping", headers={"Host": host}).text == "PONG"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:1338", "localhost.evil.example", "127.0.0.1.x:1", "é"]
)
def test_names_that_resolve_to_loopback_are_refused(client, host):
    local = Client(client.app, "http://127.0.0.1:1338")
    answer = local.get("/admin/ping", headers={"Host": host.encode()})
    assert "on this machine, ask localhost or 127.0.0.1" in refused(answer, 400, "Bad request")


def test_names_are_fine_on_other_addresses(client):
    far = Client(client.app, "http://192.168.0.7:1338")
    assert far.get("/admin/ping", headers={"Host": "clipper.example"}).text == "PONG"


def test_a_bug_is_logged_and_not_leaked(caplog):
    store = Broken(struct.error("secret"))
    broken = Client(create_app(store, store))
    with caplog.at_level(logging.ERROR):
        answer = broken.post("/admin/add_app", json=APP)
    cause = refused(answer, 500, "Internal error")
    assert "the log of the management frontend has its traceback" in cause
    assert "secret" not in answer.text
    (record,) = caplog.records
    assert record.getMessage() == "a bug came up answering POST '/admin/add_app'"
    assert record.exc_info[0] is struct.error


def test_a_failing_store_tells_its_cause():
    store = Broken(StoreError("the disk is full: free some space"))
    broken = Client(create_app(store, store))
    answer = broken.post("/admin/add_app", json=APP)
    assert refused(answer, 503, "Store error") == "the disk is full: free some space"
    answer = broken.get("/health/ready")
    assert refused(answer, 503, "Store error") == "the disk is full: free some space"
    assert broken.get("/health/live").json() == {"live": True}
    assert broken.get("/admin/ping").text == "PONG"


def test_ready_when_the_store_answers(client):
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"ready": True})


def test_a_full_disk_is_told_and_survived(tmp_path, journal, monkeypatch):
    connections = []
    connect = sqlite3.connect

    def connect_to_small_disk(*args, **options):
        connections.append(connect(*args, **options))
        connections[-1].execute("PRAGMA max_page_count = 20")
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", connect_to_small_disk)
    with contextlib.closing(SqliteStore(tmp_path / "s")) as small:
        client = Client(create_app(small, journal))
        large = {**APP, "default_output": "x" * 200_000}
        cause = refused(client.post("/admin/add_app", json=large), 503, "Store error")
        assert "is full and nothing was changed: free some space and try again" in cause
        assert client.post("/admin/add_app", json=APP).status_code == 200
        assert client.post("/admin/get_all_applications", json={"verbose": False}).json() == ["a"]


def test_lasting_conflicts_are_a_409(store, journal, monkeypatch, tmp_path):
    other = SqliteStore(tmp_path / "store.sqlite")
    read = store.read

    def read_just_before_another_commit():
        registry = read()
        other.commit(registry, registry)
        return registry

    monkeypatch.setattr(store, "read", read_just_before_another_commit)
    answer = Client(create_app(store, journal)).post("/admin/add_app", json=APP)
    other.close()
    assert "try again" in refused(answer, 409, "Store conflict")
