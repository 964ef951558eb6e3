"""Bad queries get a clear error, change nothing, and a good query after each is answered exactly."""

import pytest

from clipper_admin.deployers.python import create_endpoint
from tests.clipper_admin.managers.polling import eventually
from tests.integration.conftest import await_link
from tests.integration.rest import ask, metrics, outputs, refusal, send

pytestmark = pytest.mark.cluster

GOOD = {
    "doubles": ([1.5, 2.5], 2),
    "floats": ([1.5, 2.5], 2),
    "integers": ([1, 2, 3], 3),
    "strings": ("four", 4),
    "bytes": ("YWJj", 3),
}

BAD_JSON = {
    "nothing": (b"", "the body is empty"),
    "space": (b" \n", "the body is empty"),
    "cut": (b'{"input": [1.0', "truncated"),
    "trailing": (b'{"input": [1.0]} x', "trailing characters"),
    "single quotes": (b"{'input': [1.0]}", "malformed"),
    "comma": (b'{"input": [1.0,]}', "malformed"),
    "array": (b"[1.0]", "Expected `object`, got `array`"),
    "number": (b"3", "Expected `object`, got `int`"),
    "string": (b'"input"', "Expected `object`, got `str`"),
    "null": (b"null", "Expected `object`, got `null`"),
    "not utf-8": (b'{"input": [1.0], "version": "\xff"}', "0xff"),
    "binary": (bytes(range(256)), "malformed"),
    "neither": (b"{}", "does not have required keys input or input_batch"),
    "both": (b'{"input": [1.0], "input_batch": [[1.0]]}', "both input and input_batch"),
    "unknown field": (b'{"input": [1.0], "verison": "1"}', "unknown field `verison`"),
    "version number": (b'{"input": [1.0], "version": 9}', "`$.version`"),
    "user id": (b'{"input": [1.0], "user_id": [1]}', "`$.user_id`"),
    "deep": (b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "`$.input"),
    "deep unknown": (b'{"what": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "unknown field `what`"),
}

BAD_INPUTS = {
    "doubles": [
        (b'"abc"', "Expected `array`, got `str` - at `$.input`"),
        (b"1.0", "Expected `array`, got `float` - at `$.input`"),
        (b"null", "got `null`"),
        (b"[true]", "got `bool` - at `$.input[0]`"),
        (b'[1, "1"]', "got `str` - at `$.input[1]`"),
        (b"[1, 2, null]", "got `null` - at `$.input[2]`"),
        (b"[[1.0], [2.0]]", "got `array` - at `$.input[0]`"),
        (b"[1.0, [2.0]]", "got `array` - at `$.input[1]`"),
        (b'{"0": 1.0}', "got `object` - at `$.input`"),
        (b"[NaN]", "JSON has no NaN or Infinity"),
        (b"[Infinity]", "JSON has no NaN or Infinity"),
        (b"[-Infinity]", "JSON has no NaN or Infinity"),
        (b"[1e400]", "out of range - at `$.input[0]`"),
        (b"[]", "input is empty"),
    ],
    "floats": [
        (b"[1e39]", "Expected `float` <= 3.40"),
        (b"[-1e39]", "Expected `float` >= -3.40"),
        (b"[1e400]", "out of range"),
        (b"[]", "input is empty"),
    ],
    "integers": [
        (b"[2147483648]", "Expected `int` <= 2147483647 - at `$.input[0]`"),
        (b"[1, -2147483649]", "Expected `int` >= -2147483648 - at `$.input[1]`"),
        (b"[100000000000000000000000000]", "Expected `int` <= 2147483647"),
        (b"[1.5]", "Expected `int`, got `float`"),
        (b"[true]", "Expected `int`, got `bool`"),
        (b"[]", "input is empty"),
    ],
    "strings": [
        (b'""', "input is empty"),
        (b'["a"]', "Expected `str`, got `array`"),
        (b"1", "Expected `str`, got `int`"),
        (b'"\\ud800"', "must come in pairs"),
        (b'"\xff"', "0xff"),
        (b'"a\nb"', "malformed"),
    ],
    "bytes": [
        (b'""', "input is empty"),
        (b'"a"', "not base64"),
        (b'"a=b="', "not base64"),
        (b'"YQ==YQ=="', "not base64"),
        (b'"Y Q="', "not base64"),
        (b'"-_-_"', "not base64"),
        (b'"===="', "not base64"),
        ('"ÿÿÿÿ"'.encode(), "not base64"),
        (b"[97]", "Expected `str`, got `array`"),
    ],
}

BAD_BATCHES = [
    ("doubles", b"[1.0]", "got `float` - at `$.input_batch[0]`"),
    ("doubles", b"1", "got `int` - at `$.input_batch`"),
    ("doubles", b"[[1.0], [[2.0]]]", "got `array` - at `$.input_batch[1][0]`"),
    ("doubles", b"[[1.0], []]", "input_batch[1] is empty"),
    ("doubles", b"[[1.0], null]", "got `null` - at `$.input_batch[1]`"),
    ("integers", b"[[1], [2, 3000000000]]", "at `$.input_batch[1][1]`"),
    ("strings", b'"ab"', "Expected `array`, got `str`"),
    ("strings", b'["a", ""]', "input_batch[1] is empty"),
    ("strings", b'["a", 1]', "at `$.input_batch[1]`"),
    ("bytes", b'["YQ==", "?"]', "not base64"),
    ("doubles", b"[" + b"[1]," * 100_000 + b"[1]]", "input_batch has more than 100000 queries"),
]


def lengths():
    def length(xs):
        return [str(len(x)) for x in xs]

    return length


@pytest.fixture(scope="module")
def apps(clipper):
    """An application for each input type, whose model tells the lengths of its inputs."""
    for input_type in GOOD:
        create_endpoint(clipper, input_type, input_type, lengths(), default_output="DEFAULT", slo_micros=10**7)
        await_link(clipper, input_type, "1")


@pytest.fixture
def refused(apps, query_addr):
    """Sends a body; the cause of its 400. Then asks a good query."""

    def refused(app, body, status=400):
        cause = refusal(send(query_addr, "POST", f"/{app}/predict", body), status)
        value, expected = GOOD[app]
        assert outputs([ask(query_addr, app, value)]) == [expected]
        return cause

    return refused


@pytest.mark.parametrize("what", BAD_JSON)
def test_a_body_that_is_no_query(refused, what):
    body, named = BAD_JSON[what]
    cause = refused("doubles", body)
    assert cause.startswith("Error parsing JSON: ")
    assert named in cause
    assert "Expected JSON schema: " in cause


@pytest.mark.parametrize("app", BAD_INPUTS)
def test_an_input_not_of_its_type(refused, app):
    for value, named in BAD_INPUTS[app]:
        assert named in refused(app, b'{"input": ' + value + b"}")


@pytest.mark.parametrize(("app", "value", "named"), BAD_BATCHES)
def test_one_bad_input_of_a_batch_refuses_it(refused, app, value, named):
    assert named in refused(app, b'{"input_batch": ' + value + b"}")


def test_an_unknown_version(refused):
    cause = refused("doubles", b'{"input": [1.0], "version": "9"}')
    assert cause == "Requested version: 9 does not exist for model: doubles"


def test_a_version_without_a_model(clipper, apps, query_addr, unique):
    clipper.register_application(unique, "doubles", "DEFAULT", 100_000)
    path, body = f"/{unique}/predict", b'{"input": [1.0], "version": "9"}'
    answer = eventually(lambda: (a := send(query_addr, "POST", path, body)).status != 404 and a)
    assert "no model is linked to application" in refusal(answer, 400)


@pytest.mark.parametrize("name", ["nobody", "..", "%2e%2e", "a%20b", "%C3%BC", "%ff", ".*", "doubles%00", "DOUBLES"])
def test_an_unknown_application(apps, query_addr, name):
    cause = refusal(send(query_addr, "POST", f"/{name}/predict", b'{"input": [1.0]}'), 404)
    assert "does not exist: register it first. Registered are: " in cause
    assert "doubles" in cause


@pytest.mark.parametrize(
    "path", ["/", "//predict", "/doubles", "/doubles/Predict", "/doubles/predict/1", "/a%2Fb/predict"]
)
def test_an_unknown_path(apps, query_addr, path):
    assert "POST /<application>/predict" in refusal(send(query_addr, "POST", path, b'{"input": [1.0]}'), 404)


def test_errors_are_counted_and_are_no_defaults(apps, query_addr):
    before = metrics(query_addr)
    for _ in range(3):
        send(query_addr, "POST", "/floats/predict", b"{}")
    after = metrics(query_addr)

    def grown(outcome):
        name, labels = "clipper_requests_total", {"app": "floats", "outcome": outcome}
        return after(name, **labels) - before(name, **labels)

    assert [grown("error"), grown("ok"), grown("default")] == [3, 0, 0]
