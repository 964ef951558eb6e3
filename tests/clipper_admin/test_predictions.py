"""Inputs that mean different things to different applications are sent as the application takes them."""

import struct

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
    assert connection.predict("a", raw)["output"] == "YWI="
    assert last() == ("/a/predict", {"type": "application/octet-stream; type=bytes", "data": b"ab"})
    connection.predict_batch("a", iter([raw, b"c"]))
    assert last() == ("/a/predict", {"type": "application/x-clipper-batch; type=bytes", "data": batch(b"ab", b"c")})


def batch(*inputs):
    return struct.pack(f"<{1 + len(inputs)}I", len(inputs), *map(len, inputs)) + b"".join(inputs)


def test_each_row_of_a_uint8_array_is_an_input_of_a_batch(connection, sent):
    last = sent("bytes")
    assert len(connection.predict_batch("a", np.stack([RAW, RAW]))) == 2
    assert last()[1]["data"] == batch(b"ab", b"ab")


def test_raw_inputs_beside_texts_are_sent_as_base64(connection, sent):
    last = sent("bytes")
    connection.predict_batch("a", [RAW, "Yw=="])
    assert last() == ("/a/predict", {"input_batch": ["YWI=", "Yw=="]})


def test_arrays_of_the_applications_type_are_sent_as_they_are(connection, sent):
    last = sent("doubles")
    values = np.array([0.5, float("nan")])
    connection.predict("a", values, user_id=7, version=2)
    body = {"type": "application/octet-stream; type=doubles", "data": values.tobytes()}
    assert last() == ("/a/predict?user_id=7&version=2", body)
    connection.predict_batch("a", [values, values[:1]], version="b c")
    body = {
        "type": "application/x-clipper-batch; type=doubles",
        "data": batch(values.tobytes(), values[:1].tobytes()),
    }
    assert last() == ("/a/predict?version=b+c", body)


def test_arrays_of_another_type_are_sent_as_json(connection, sent):
    last = sent("floats")
    connection.predict("a", np.array([0.5]), user_id=7)
    assert last() == ("/a/predict", {"input": [0.5], "user_id": 7})
    connection.predict_batch("a", np.array([[1.0], [2.0]]))
    assert last() == ("/a/predict", {"input_batch": [[1.0], [2.0]]})


def test_the_type_of_an_application_is_looked_up_once_and_again_when_it_has_changed(connection, sent, server):
    sent("doubles")

    def asked():
        return [path for path, _ in server.registry.requests].count("/admin/get_application")

    for _ in range(3):
        connection.predict("a", np.array([0.5]))
    assert asked() == 1
    connection.unregister_application("a")
    last = sent("floats")
    connection.predict("a", np.array([0.5]))
    assert (asked(), last()) == (2, ("/a/predict", {"input": [0.5]}))
    server.registry.failures["/a/predict"] = (400, "no")
    with pytest.raises(ClipperException, match="no"):
        connection.predict("a", np.array([0.5], np.float32))


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
