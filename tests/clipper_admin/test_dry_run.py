import base64

import numpy as np
import pytest

from clipper_admin.connection import ClipperConnection
from clipper_admin.managers.local import LocalContainerManager


@pytest.fixture
def try_function(tmp_path):
    return ClipperConnection(LocalContainerManager(home=str(tmp_path))).test_predict_function


def look(batch):
    return [(type(each).__name__, getattr(each, "dtype", None)) for each in batch]


@pytest.mark.parametrize(("input_type", "dtype"), [("doubles", "f8"), ("floats", "f4"), ("integers", "i4")])
def test_numbers_of_one_length_are_a_matrix(try_function, input_type, dtype):
    def shape(batch):
        return batch.shape, batch.dtype

    assert try_function({"input": [1, 2, 3]}, shape, input_type) == ((1, 3), np.dtype(dtype))
    assert try_function({"input_batch": [[1, 2], [3, 4]]}, shape, input_type) == ((2, 2), np.dtype(dtype))


def test_numbers_of_different_lengths_are_a_list_of_arrays(try_function):
    result = try_function({"input_batch": [[1.0, 2.0], [3]]}, lambda xs: [str(sum(x)) for x in xs], "doubles")
    assert result == ["3.0", "3.0"]


def test_integers_are_fine_for_doubles_but_not_the_other_way(try_function):
    assert try_function({"input": [1, 2]}, lambda xs: [sum(x) for x in xs], "d") == [3.0]
    assert try_function({"input": [1.0]}, len, "ints") == "Invalid input type"


@pytest.mark.parametrize("input_type", ["string", "strings", "s"])
def test_strings_are_str(try_function, input_type):
    assert try_function({"input_batch": ["ab", "c"]}, lambda xs: [x.upper() for x in xs], input_type) == ["AB", "C"]


def test_bytes_are_unsigned(try_function):
    for given in (b"\x00\xff", base64.b64encode(b"\x00\xff").decode()):
        assert try_function({"input": given}, lambda xs: [x.tolist() for x in xs], "bytes") == [[0, 255]]
    assert try_function({"input": "not base64!"}, len, "bytes") == "Invalid input type"


@pytest.mark.parametrize(
    ("query", "input_type", "answer"),
    [
        ({"inputs": [1]}, "ints", "Invalid input type or JSON key"),
        ([1], "ints", "Invalid input type or JSON key"),
        ({"input": [1]}, "nonsense", "Invalid input type or JSON key"),
        ({"input": 1.0}, "doubles", "Invalid input type"),
        ({"input": "1"}, "doubles", "Invalid input type"),
        ({"input": [True]}, "ints", "Invalid input type"),
        ({"input": [2**31]}, "ints", "Invalid input type"),
        ({"input": ["x"]}, "strings", "Invalid input type"),
        ({"input": [[1.0]]}, "doubles", "Invalid input type"),
        ({"input_batch": 3}, "doubles", "Invalid input type"),
    ],
)
def test_a_query_that_does_not_fit(try_function, query, input_type, answer):
    assert try_function(query, look, input_type) == answer
