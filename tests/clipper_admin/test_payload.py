import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper_admin.exceptions import ClipperException
from clipper_admin.payload import as_batch, encode, for_application, is_raw


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
