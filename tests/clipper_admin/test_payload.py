import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper_admin.exceptions import ClipperException
from clipper_admin.payload import as_batch, encode


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
