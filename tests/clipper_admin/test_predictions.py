"""Inputs that mean different things to different applications are sent as the application takes them."""

import numpy as np
import pytest

from clipper_admin.exceptions import ClipperException

RAW = np.array([97, 98], dtype=np.uint8)


@pytest.fixture
def sent(connection, server):
    """Application ``a`` of an input type; what it was asked last."""

    def register(input_type):
        connection.register_application("a", input_type, "0", 1000)
        return lambda: server.registry.requests[-1]

    return register


@pytest.mark.parametrize("raw", [b"ab", bytearray(b"ab"), RAW])
def test_raw_inputs_of_a_bytes_application(connection, sent, raw):
    last = sent("bytes")
    connection.predict("a", raw)
    assert last() == ("/a/predict", {"input": "YWI="})
    connection.predict_batch("a", iter([raw, b"c"]))
    assert last() == ("/a/predict", {"input_batch": ["YWI=", "Yw=="]})


def test_each_row_of_a_uint8_array_is_an_input_of_a_batch(connection, sent):
    last = sent("bytes")
    connection.predict_batch("a", np.stack([RAW, RAW]))
    assert last() == ("/a/predict", {"input_batch": ["YWI=", "YWI="]})


def test_bytes_are_not_sent_to_an_application_of_strings(connection, sent, server):
    sent("strings")
    with pytest.raises(ClipperException, match="decode them first"):
        connection.predict("a", b"ab")
    with pytest.raises(ClipperException, match="decode them first"):
        connection.predict_batch("a", ["ab", b"ab"])
    assert not [path for path, _ in server.registry.requests if path == "/a/predict"]


def test_a_uint8_array_is_numbers_to_an_application_of_numbers(connection, sent):
    last = sent("integers")
    connection.predict("a", RAW)
    assert last() == ("/a/predict", {"input": [97, 98]})


def test_the_application_is_looked_up_for_raw_inputs_only(connection, sent, server):
    sent("doubles")
    connection.predict("a", [1.0])
    assert "/admin/get_application" not in dict(server.registry.requests)


def test_an_unknown_application_is_left_to_the_frontend(connection, server):
    server.registry.failures["/b/predict"] = (404, "no application b")
    with pytest.raises(ClipperException, match="no application b"):
        connection.predict("b", b"ab")
