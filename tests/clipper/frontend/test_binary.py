"""Bodies that are the bytes a model gets."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper.errors import BadRequest
from clipper.frontend.binary import STEP_BYTES, Media, media_of, read_binary
from clipper.frontend.codec import MAX_BATCH
from clipper.frontend.request import PredictRequest
from clipper.rpc.wire import InputType

ONE, MANY = Media(False, None), Media(True, None)


def read(media: Media, input_type: str, body: bytes | bytearray, query: bytes = b"") -> PredictRequest:
    steps = read_binary(media, InputType(input_type), body, query)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def batch(*inputs: bytes) -> bytes:
    return struct.pack(f"<{1 + len(inputs)}I", len(inputs), *map(len, inputs)) + b"".join(inputs)


@pytest.mark.parametrize(
    ("content_type", "media"),
    [
        (b"", None),
        (b"application/json", None),
        (b"application/x-www-form-urlencoded", None),
        (b"text/plain; type=doubles", None),
        (b"application/octet-stream", ONE),
        (b"Application/Octet-Stream ; charset=utf-8", ONE),
        (b'application/octet-stream; type="floats"', Media(False, "floats")),
        (b"application/x-clipper-batch;type=d", Media(True, "d")),
    ],
)
def test_content_types(content_type: bytes, media: Media | None) -> None:
    assert media_of(content_type) == media


@pytest.mark.parametrize(
    ("input_type", "dtype"), [("doubles", "<f8"), ("floats", "<f4"), ("integers", "<i4"), ("bytes", "u1")]
)
def test_one_input_is_the_body_itself(input_type: str, dtype: str) -> None:
    body = np.arange(1, 6).astype(dtype).tobytes()
    request = read(ONE, input_type, body)
    assert (request.is_batch, request.version, request.user_id) == (False, None, None)
    assert request.inputs[0] is body
    copied = read(ONE, input_type, bytearray(body)).inputs[0]
    assert (type(copied), copied) == (bytes, body)


def test_doubles_that_json_can_not_carry_arrive_as_they_are() -> None:
    body = struct.pack("<4d", float("nan"), float("inf"), float("-inf"), -0.0)
    assert read(ONE, "doubles", body).inputs == [body]


def test_a_text() -> None:
    assert read(ONE, "strings", "grüße".encode()).inputs == ["grüße".encode()]
    long = ("ä" * STEP_BYTES).encode() + b"a"
    assert read(ONE, "strings", b"a" + long).inputs == [b"a" + long]
    assert read(ONE, "strings", bytearray(long)).inputs == [long]
    for wrong in (b"\xff", b"a\xc3", b"\xed\xa0\x80", long + b"\xc3"):
        with pytest.raises(BadRequest, match="the body is not UTF-8"):
            read(ONE, "strings", wrong)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=600))
def test_many_inputs(inputs: list[bytes]) -> None:
    body = batch(*inputs)
    for each in (body, bytearray(body)):
        request = read(MANY, "bytes", each)
        assert (request.inputs, request.is_batch) == (inputs, True)


def test_many_large_inputs_are_read_in_steps() -> None:
    large = bytes(3 * STEP_BYTES)
    steps = read_binary(MANY, InputType.DOUBLES, batch(large, large[:8], large), b"")
    assert sum(1 for _ in steps) >= 6
    assert read(MANY, "doubles", batch(large, large[:8], large)).inputs == [large, large[:8], large]


@given(st.binary(max_size=60), st.sampled_from([each.value for each in InputType]), st.booleans())
def test_no_body_does_more_than_be_refused(body: bytes, input_type: str, is_batch: bool) -> None:
    try:
        request = read(MANY if is_batch else ONE, input_type, body)
    except BadRequest:
        return
    assert (batch(*request.inputs) if is_batch else request.inputs[0]) == body


def test_version_and_user_stand_in_the_query_string() -> None:
    request = read(ONE, "bytes", b"a", b"version=2%20b&user_id=ann")
    assert (request.version, request.user_id) == ("2 b", "ann")
    assert read(MANY, "bytes", batch(b"a"), b"uid=7").user_id == "7"


@pytest.mark.parametrize(
    ("media", "input_type", "body", "query", "cause"),
    [
        (ONE, "doubles", b"", b"", "the body is empty: a query needs at least one element"),
        (ONE, "doubles", bytes(12), b"", "the body has 12 bytes: doubles have 8 bytes each"),
        (ONE, "floats", bytes(7), b"", "the body has 7 bytes: floats have 4 bytes each"),
        (ONE, "bytes", b"a", b"verzion=2", "unknown in the query string: 'verzion'; it may hold version and user_id"),
        (Media(False, "floats"), "doubles", bytes(8), b"", "is said to be floats, the application takes doubles"),
        (Media(False, "reals"), "doubles", bytes(8), b"", "reals is not a valid input string"),
        (MANY, "bytes", b"", b"", "the body is empty: a batch begins with the number of its inputs, in 4 bytes"),
        (MANY, "bytes", b"\1\0", b"", "the body has 2 bytes: a batch begins with the number of its inputs"),
        (ONE, "bytes", b"a", b"version=", "the version in the query string is empty: name one, or leave it out"),
        (ONE, "bytes", b"a", b"version=1&version=1", "names version or user_id more than once"),
        (
            Media(False, ""),
            "doubles",
            bytes(8),
            b"",
            "the Content-Type is empty: write type=doubles, or leave it out",
        ),
        (MANY, "bytes", b"\2\0\0\0\1\0\0\0", b"", "has 8 bytes: a batch of 2 inputs has 12 before the first"),
        (MANY, "bytes", b"\1\0\0\0\2\0\0\0a", b"", "the body has 9 bytes: by its lengths, the batch has 10"),
        (MANY, "bytes", b"\1\0\0\0\1\0\0\0ab", b"", "the body has 10 bytes: by its lengths, the batch has 9"),
        (MANY, "doubles", batch(bytes(8), bytes(9)), b"", "input 1 has 9 bytes: doubles have 8 bytes each"),
        (MANY, "doubles", batch(bytes(8), b""), b"", "input 1 is empty: a query needs at least one element"),
        (MANY, "strings", batch(b"a", b"\xff"), b"", "input 1 is not UTF-8"),
        (MANY, "bytes", struct.pack("<I", MAX_BATCH + 1), b"", "the batch has 100001 inputs, the most is 100000"),
    ],
)
def test_what_is_refused_and_why(media: Media, input_type: str, body: bytes, query: bytes, cause: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(media, input_type, body, query)
    assert cause in refused.value.cause
