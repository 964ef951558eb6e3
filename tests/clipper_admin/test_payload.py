import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper_admin.exceptions import ClipperException
from clipper_admin.payload import (
    as_batch,
    binary,
    binary_batch,
    encode,
    for_application,
    is_raw,
    kind_of,
    kind_of_all,
)


class Column:
    """Quacks like a pandas object."""

    def to_numpy(self):
        return np.array([[1.5], [2.5]])


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ([1, 2.5], [1, 2.5]),
        (np.array([1.5, 2.5]), [1.5, 2.5]),
        ([np.float32(0.5), np.int64(3)], [0.5, 3]),
        ([np.array([1, 2]), np.array([3])], [[1, 2], [3]]),
        (b"\x00\xff", "AP8="),
        (bytearray(b"a"), "YQ=="),
        ("grüße", "grüße"),
        (Column(), [[1.5], [2.5]]),
    ],
)
def test_inputs_become_json(value, plain):
    assert json.loads(encode({"input": value})) == {"input": plain}


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
@settings(max_examples=50)
def test_doubles_arrive_to_the_last_bit(values):
    assert json.loads(encode({"input": np.array(values, dtype=float)}))["input"] == values


@pytest.mark.parametrize("value", [[float("nan")], np.array([np.inf]), object(), {1, 2}, "\ud800"])
def test_what_json_can_not_say_is_refused(value):
    with pytest.raises(ClipperException, match=r"can't be written as JSON: .*Nothing was sent"):
        encode({"input": value})


@pytest.mark.parametrize("value", [[float("nan")], [[1.0, float("-inf")]], np.array([[np.nan]])])
def test_the_way_for_nan_is_told(value):
    with pytest.raises(
        ClipperException, match=r"travel in arrays .* numpy.array\(input, 'float64'\) for doubles. Noth"
    ):
        encode({"input": value})
    with pytest.raises(ClipperException, match=r"^((?!arrays).)*$"):
        encode({"input": object()})


def test_a_batch_is_a_list_of_inputs():
    assert as_batch(iter([[1.0], [2.0]])) == [[1.0], [2.0]]
    array = np.zeros((2, 3))
    assert as_batch(array) is array
    for single in ("text", b"bytes", {"input": 1}, 3.0):
        with pytest.raises(ClipperException, match="use predict for a single input"):
            as_batch(single)


RAW = np.array([0, 255], dtype=np.uint8)


@pytest.mark.parametrize(
    "raw", [b"\x00\xff", bytearray(b"\x00\xff"), memoryview(b"\x00\xff"), RAW, np.array([0, 9, 255], np.uint8)[::2]]
)
def test_raw_inputs_are_told_apart_and_sent_as_base64(raw):
    assert is_raw(raw)
    assert is_raw(["text", raw])
    assert for_application(raw, "a", "bytes") == "AP8="


@pytest.mark.parametrize("value", ["text", [1, 2], np.array([1, 2]), np.uint8(3), [np.uint8(3)], None, Column()])
def test_what_is_not_raw_is_left_alone(value):
    assert not is_raw(value)
    assert for_application(value, "a", "bytes") is value


def test_raw_inputs_of_applications_that_take_something_else():
    assert for_application(RAW, "a", "integers") is RAW
    with pytest.raises(ClipperException, match=r"'a' takes strings, not bytes: decode them first, like input.decode"):
        for_application(b"abc", "a", "strings")
    with pytest.raises(ClipperException, match=r"'a' takes doubles, not bytearray: give numbers. Nothing was sent"):
        for_application(bytearray(b"abc"), "a", "doubles")


class Series:
    """Quacks like a column of pandas."""

    ndim = 1
    dtype = np.dtype("<f8")

    def to_numpy(self):
        return np.array([1.5, 2.5])


@pytest.mark.parametrize(
    ("value", "kind", "body"),
    [
        (np.array([1.5, np.nan]), "doubles", np.array([1.5, np.nan]).tobytes()),
        (np.arange(6.0)[::2], "doubles", np.array([0.0, 2.0, 4.0]).tobytes()),
        (np.array([0.5], np.float32), "floats", b"\0\0\0?"),
        (np.array([1, -1], np.int32), "integers", b"\1\0\0\0\xff\xff\xff\xff"),
        (Series(), "doubles", np.array([1.5, 2.5]).tobytes()),
        (b"\x00\xff", "bytes", b"\x00\xff"),
        (memoryview(b"\x00\xff\x01")[::2], "bytes", b"\x00\x01"),
        (np.array([[1, 2], [3, 4]], np.uint8), "bytes", b"\1\2\3\4"),
    ],
)
def test_what_has_the_form_of_a_models_input_travels_as_it_is(value, kind, body):
    assert kind_of(value) == kind
    assert binary(value) == body
    assert kind_of_all([value, value]) == kind
    size = len(body).to_bytes(4, "little")
    assert binary_batch([value, value]) == b"\2\0\0\0" + size + size + body + body


@pytest.mark.parametrize(
    "value",
    [
        [1.5],
        "text",
        1.5,
        np.float64(1.5),
        np.array(1.5),
        np.array([[1.5]]),
        np.array([1, 2]),
        np.array([1.5], ">f8"),
        np.array([1.5], np.float16),
        np.array(["a"]),
        np.ma.array([1.5, 2.5], mask=[True, False]),
        Column(),
    ],
)
def test_what_has_not_is_left_to_json(value):
    assert kind_of(value) is None
    assert kind_of_all([value]) is None
    assert kind_of_all([np.array([1.5]), value]) is None


def test_a_batch_is_of_one_kind_or_written_as_json():
    assert kind_of_all([]) is None
    assert kind_of_all(np.zeros((2, 3))) == "doubles"
    assert kind_of_all(np.zeros((2, 3), np.uint8)) == "bytes"
    assert kind_of_all([np.zeros(2), np.zeros(3, np.float32)]) is None
