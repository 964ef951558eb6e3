"""What a function sees of each input type: the function answers with what it saw."""

import base64

import pytest

from clipper_admin.deployers.python import create_endpoint
from tests.clipper_admin.managers.polling import eventually
from tests.integration.conftest import await_link
from tests.integration.rest import ask, ask_batch, outputs, post

pytestmark = pytest.mark.cluster

ALIASES = {
    "bytes": ["bytes", "byte", "b"],
    "integers": ["integers", "ints", "integer", "int", "i"],
    "floats": ["floats", "float", "f"],
    "doubles": ["doubles", "double", "d"],
    "strings": ["strings", "string", "str", "strs", "s"],
}


def describing():
    """Answers, for each input: its type and values, and the type, dtype and shape of the batch it came in."""

    def describe(xs):
        batch = [type(xs).__name__, str(xs.dtype), list(xs.shape)]
        return [
            {"type": type(x).__name__, "dtype": str(getattr(x, "dtype", "")), "values": list(x), "batch": batch}
            for x in xs
        ]

    return describe


@pytest.fixture(scope="module")
def described(clipper):
    """By input type: the name of an application whose model describes its inputs."""
    for input_type in ALIASES:
        create_endpoint(clipper, input_type, input_type, describing(), default_output="DEFAULT", slo_micros=10**7)
        await_link(clipper, input_type, "1")
    return clipper


NUMBERS = {
    "doubles": ("float64", [1.1, -2.5, 0, 3, 1e308, 5e-324]),
    "floats": ("float32", [1.5, -2.25, 0, 3, 1e-3]),
    "integers": ("int32", [1, -2, 0, 2**31 - 1, -(2**31)]),
}


@pytest.mark.parametrize("input_type", NUMBERS)
def test_numbers_of_equal_lengths_are_one_array(described, query_addr, input_type):
    dtype, values = NUMBERS[input_type]
    seen = ask(query_addr, input_type, values)["output"]
    assert seen["type"] == "ndarray"
    assert seen["dtype"] == dtype
    assert seen["batch"] == ["ndarray", dtype, [1, len(values)]]
    if input_type == "floats":
        assert seen["values"] == pytest.approx(values, rel=1e-7)
    else:
        assert seen["values"] == values


@pytest.mark.parametrize("input_type", NUMBERS)
def test_numbers_of_different_lengths_are_an_array_of_arrays(clipper, serve, query_addr, input_type):
    name = serve(describing(), input_type=input_type, batch_size=3)
    seen = outputs(ask_batch(query_addr, name, [[1], [2, 3], [4, 5, 6]]))
    assert [each["values"] for each in seen] == [[1], [2, 3], [4, 5, 6]]
    assert [each["dtype"] for each in seen] == [NUMBERS[input_type][0]] * 3
    assert [each["batch"] for each in seen] == [["ndarray", "object", [3]]] * 3


def test_an_equal_batch_is_two_dimensional(serve, query_addr):
    name = serve(describing(), batch_size=3)
    seen = outputs(ask_batch(query_addr, name, [[1, 2], [3, 4], [5, 6]]))
    assert [each["values"] for each in seen] == [[1, 2], [3, 4], [5, 6]]
    assert [each["batch"] for each in seen] == [["ndarray", "float64", [3, 2]]] * 3


@pytest.mark.parametrize(
    "text", ["plain", "ünïcödé \u4e2d\u6587 \U0001f600", 'with "quotes" and \\', "\x00\n\t", " "]
)
def test_strings_are_str(described, query_addr, text):
    seen = ask(query_addr, "strings", text)["output"]
    assert seen["type"] == "str"
    assert "".join(seen["values"]) == text
    assert seen["batch"] == ["ndarray", "object", [1]]


@pytest.mark.parametrize("data", [b"\x00\x01\x7f\x80\xff", b"a", bytes(range(256))])
def test_bytes_are_unsigned(described, query_addr, data):
    for padding in (base64.b64encode(data), base64.b64encode(data).rstrip(b"=")):
        seen = ask(query_addr, "bytes", padding.decode())["output"]
        assert seen["type"] == "ndarray"
        assert seen["dtype"] == "uint8"
        assert seen["values"] == list(data)


def test_python_sends_the_same(described):
    assert described.predict("bytes", b"\xff\x00")["output"]["values"] == [255, 0]
    assert described.predict("strings", "é")["output"]["values"] == ["é"]
    seen = described.predict_batch("integers", ((each, -each) for each in range(3)))
    assert [each["output"]["values"] for each in seen] == [[0, 0], [1, -1], [2, -2]]


@pytest.mark.parametrize("input_type", ALIASES)
def test_every_alias_is_the_type(clipper, described, query_addr, unique, input_type):
    for alias in ALIASES[input_type]:
        app = f"{unique}-{alias}"
        clipper.register_application(app, alias, "DEFAULT", 10_000_000)
        assert clipper.get_app_info(app)["input_type"] == input_type
        clipper.link_model_to_app(app, input_type)


OUTPUTS = [
    ("6.6", 6.6),
    ("1", 1),
    ("[[235.8]]", [[235.8]]),
    ('{"a": 1}', {"a": 1}),
    ("true", True),
    ("True", "True"),
    ("nan", "nan"),
    ("NaN", "NaN"),
    ("", ""),
    ("(749, 600)", "(749, 600)"),
    (" 7 ", 7),
    ("7 8", "7 8"),
    ("ü\u2028\x00", "ü\u2028\x00"),
    ('"quoted"', "quoted"),
    ("1e999", "1e999"),
]


def test_an_output_that_is_json_is_embedded_and_others_are_strings(serve, query_addr, clipper):
    def echo(xs):
        return list(xs)

    echoing = serve(echo, input_type="strings")
    for text, expected in OUTPUTS:
        if text:
            assert ask(query_addr, echoing, text)["output"] == expected


def test_a_default_output_is_embedded_in_the_same_way(clipper, query_addr, unique):
    for position, (text, _) in enumerate(OUTPUTS):
        clipper.register_application(f"{unique}-{position}", "doubles", text, 100_000)
    last = f"/{unique}-{len(OUTPUTS) - 1}/predict"
    eventually(lambda: post(query_addr, last, {"input": [1.0]}).status == 200)
    for position, (_, expected) in enumerate(OUTPUTS):
        assert ask(query_addr, f"{unique}-{position}", [1.0])["output"] == expected
