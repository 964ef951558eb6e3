from __future__ import annotations

import base64
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper.errors import JsonError
from clipper.frontend.codec import MAX_BATCH, PredictDecoder, encode_prediction, encode_predictions
from clipper.prediction import Prediction
from clipper.rpc.wire import InputType
from clipper.types import ModelVersion

FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
FLOAT64 = st.floats(allow_nan=False, allow_infinity=False)
DECODERS = {kind.value: PredictDecoder(kind) for kind in InputType}
INT32 = st.integers(-(2**31), 2**31 - 1)


def decode(input_type: str, **body: object) -> list[bytes]:
    return DECODERS[input_type].decode(json.dumps(body).encode()).inputs


@given(st.lists(FLOAT64 | st.integers(-(2**53), 2**53), min_size=1))
def test_doubles_reals_and_integer_literals(values: list[float]) -> None:
    assert decode("doubles", input=values) == [np.array(values, dtype="<f8").tobytes()]


@given(st.lists(FLOAT32, min_size=1))
def test_floats(values: list[float]) -> None:
    assert decode("floats", input=values) == [np.array(values, dtype="<f4").tobytes()]


@given(st.lists(INT32, min_size=1))
def test_integers(values: list[int]) -> None:
    assert decode("integers", input=values) == [np.array(values, dtype="<i4").tobytes()]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_strings(value: str) -> None:
    assert decode("strings", input=value) == [value.encode()]


@given(st.binary(min_size=1), st.booleans())
def test_bytes_with_and_without_padding(value: bytes, padded: bool) -> None:
    text = base64.b64encode(value).decode()
    assert decode("bytes", input=text if padded else text.rstrip("=")) == [value]


def test_a_batch_may_be_ragged_and_keeps_its_order() -> None:
    request = DECODERS["doubles"].decode(b'{"input_batch":[[1.0],[2,3]],"version":"2","uid":7}')
    assert request.inputs == [struct.pack("<d", 1), struct.pack("<dd", 2, 3)]
    assert (request.is_batch, request.version, request.user_id) == (True, "2", 7)
    assert DECODERS["doubles"].decode(b'{"input_batch":[]}').inputs == []


def test_what_is_given_but_empty_is_not_the_same_as_left_out() -> None:
    given = DECODERS["doubles"].decode(b'{"input":[1],"version":"","user_id":0}')
    assert (given.version, given.user_id) == ("", 0)
    left_out = DECODERS["doubles"].decode(b'{"input":[1]}')
    assert (left_out.version, left_out.user_id) == (None, None)


@pytest.mark.parametrize(
    ("input_type", "body", "hint"),
    [
        ("doubles", b"", "truncated"),
        ("doubles", b'{"input": [1.0]', "truncated"),
        ("doubles", b'{"input": [1.0]} trailing', "trailing characters"),
        ("doubles", b"[1.0]", "Expected `object`, got `array`"),
        ("doubles", b'"text"', "Expected `object`, got `str`"),
        ("doubles", b"{}", "required keys input or input_batch"),
        ("doubles", b'{"input": [1.0], "input_batch": [[1.0]]}', "both input and input_batch"),
        ("doubles", b'{"inptu": [1.0]}', "unknown field `inptu`"),
        ("doubles", b'{"input": ["1.0"]}', "Expected `float`, got `str`"),
        ("doubles", b'{"input": [true]}', "Expected `float`, got `bool`"),
        ("doubles", b'{"input": null}', "got `null`"),
        ("doubles", b'{"input": [[1.0], [2.0]]}', "$.input[0]"),
        ("doubles", b'{"input_batch": [[1.0], [[2.0]]]}', "$.input_batch[1][0]"),
        ("doubles", b'{"input": [NaN]}', "malformed"),
        ("doubles", b'{"input": [Infinity]}', "malformed"),
        ("doubles", b'{"input": [1e999]}', "out of range"),
        ("doubles", b'{"input": []}', "input is empty"),
        ("doubles", b'{"input_batch": [[1.0], []]}', "input_batch[1] is empty"),
        ("doubles", b'{"input": [1.0], "version": 9}', "Expected `str`, got `int` - at `$.version`"),
        ("doubles", b"\xff\xfe", "malformed"),
        ("doubles", b'{"input":' + b"[" * 100_000, ""),
        ("floats", b'{"input": [1e39]}', "3.402"),
        ("integers", b'{"input": [1.0]}', "Expected `int`, got `float`"),
        ("integers", b'{"input": [2147483648]}', "<= 2147483647"),
        ("integers", b'{"input": [-2147483649]}', ">= -2147483648"),
        ("strings", b'{"input": ["a"]}', "Expected `str`, got `array`"),
        ("strings", b'{"input": ""}', "input is empty"),
        ("bytes", b'{"input": "####"}', "not base64"),
        ("bytes", b'{"input": "YQ=a"}', "not base64"),
        ("bytes", b'{"input": "YQ==YQ=="}', "not base64"),
        ("bytes", b'{"input": "A"}', "not base64"),
        ("bytes", b'{"input": "Y Q="}', "not base64"),
        ("bytes", b'{"input": "AAAA="}', "not base64"),
        ("bytes", b'{"input": "AAAA===="}', "not base64"),
        ("bytes", b'{"input": "===="}', "not base64"),
        ("strings", b'{"input_batch": [%b""]}' % (b'"a",' * MAX_BATCH), "more than 100000 queries"),
        ("bytes", '{"input": "ü"}'.encode(), "not base64"),
    ],
)
def test_bad_bodies_are_refused_and_the_error_says_what_is_wrong(input_type: str, body: bytes, hint: str) -> None:
    with pytest.raises(JsonError) as refused:
        DECODERS[input_type].decode(body)
    assert hint in refused.value.cause
    assert refused.value.cause.startswith("Error parsing JSON: ")
    assert "Expected JSON schema" in refused.value.cause
    assert len(refused.value.cause) < 600


@given(st.binary(max_size=40))
def test_no_body_does_more_than_raise_a_json_error(body: bytes) -> None:
    for input_type in ("doubles", "floats", "integers", "strings", "bytes"):
        try:
            DECODERS[input_type].decode(body)
        except JsonError:
            continue


def test_answers_are_the_originals_json() -> None:
    assert encode_prediction(Prediction(0, b"6.6")) == b'{"query_id":0,"output":6.6,"default":false}'
    default = Prediction(1, b"-1.0", "no_model", 'say "why"')
    assert json.loads(encode_prediction(default)) == {
        "query_id": 1,
        "output": -1.0,
        "default": True,
        "default_explanation": 'say "why"',
        "default_reason": "no_model",
    }
    assert encode_predictions([b'{"query_id":1}', b"{}"]) == b'{"batch_predictions":[{"query_id":1},{}]}'
    assert encode_predictions([]) == b'{"batch_predictions":[]}'


def test_an_answer_of_several_models_says_which_and_how_sure() -> None:
    models = (ModelVersion("a", "1"), ModelVersion("b", "x"))
    assert json.loads(encode_prediction(Prediction(0, b'"cat"', models=models, confidence=0.75))) == {
        "query_id": 0,
        "output": "cat",
        "default": False,
        "confidence": 0.75,
        "models": ["a:1", "b:x"],
    }
    unsure = Prediction(1, b"-1.0", "low_confidence", "not sure", models, 0.25)
    answer = json.loads(encode_prediction(unsure))
    assert (answer["default"], answer["default_reason"], answer["confidence"]) == (True, "low_confidence", 0.25)
