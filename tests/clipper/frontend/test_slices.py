"""Bodies read in slices, however small the slices are, are what they are in one go."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipper.errors import JsonError
from clipper.frontend.codec import MAX_BATCH, PredictDecoder
from clipper.frontend.request import PredictRequest
from clipper.frontend.slices import LONGEST_TOKEN, SLICE_BYTES, SlicedReader
from clipper.rpc.wire import InputType

DECODERS = {kind.value: PredictDecoder(kind) for kind in InputType}
SIZES = st.integers(1, 200)

Outcome = tuple[list[bytes], bool, str | None, str | int | None] | str


def outcome(read: Callable[[], PredictRequest]) -> Outcome:
    try:
        request = read()
        return request.inputs, request.is_batch, request.version, request.user_id
    except JsonError as error:
        return error.cause.removesuffix(f". {error.cause.partition('. Expected JSON')[2]}")


def sliced(input_type: str, body: bytes, slice_bytes: int = SLICE_BYTES) -> PredictRequest:
    steps = SlicedReader(DECODERS[input_type], body, slice_bytes).read()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def both(input_type: str, body: bytes, slice_bytes: int) -> tuple[Outcome, Outcome]:
    return outcome(lambda: DECODERS[input_type].decode(body)), outcome(lambda: sliced(input_type, body, slice_bytes))


# What JSON is made of, and characters of one to four bytes, of a surrogate pair, and of half a one.
TEXT = st.text('a0,:[]{}"\\/\n\x01\x7fäß€\ud800\udc00😀', max_size=12)
NUMBERS = st.lists(st.integers(-300, 300) | st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=12)
INPUTS = {
    "doubles": NUMBERS,
    "floats": NUMBERS,
    "integers": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=12),
    "strings": TEXT,
    "bytes": st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode()),
}
BLANK = st.text(" \t\n\r", max_size=3)


def escaped(text: str) -> str:
    """Each character as JSON can also write it."""
    units = text.encode("utf-16-be", "surrogatepass")
    return '"' + "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)) + '"'


@st.composite
def well_formed(draw: st.DrawFn, input_type: str) -> str:
    """A JSON object with the members of a request, in any order and writing, some twice.

    Not so base64: it is decoded as it comes, so that a wrong one is refused though another follows that would count.
    """
    one = INPUTS[input_type]
    values = {"input": one, "input_batch": st.lists(one, max_size=6), "version": TEXT, "uid": TEXT | st.integers()}
    keys = draw(st.lists(st.sampled_from(sorted(values)), max_size=4, unique=input_type == "bytes"))

    def written(value: object) -> str:
        if isinstance(value, list):
            return draw(BLANK) + "[" + ",".join(written(each) for each in value) + draw(BLANK) + "]" + draw(BLANK)
        if isinstance(value, str) and draw(st.integers(0, 3)) == 0:
            return draw(BLANK) + escaped(value) + draw(BLANK)
        return draw(BLANK) + json.dumps(value, ensure_ascii=draw(st.booleans())) + draw(BLANK)

    members = (f"{written(key)}:{written(draw(values[key]))}" for key in keys)
    return draw(BLANK) + "{" + ",".join(members) + "}" + draw(BLANK)


@settings(suppress_health_check=[HealthCheck.too_slow])  # it counts the time of a busy machine
@given(st.data(), st.sampled_from(sorted(INPUTS)), SIZES)
def test_what_is_well_formed(data: st.DataObject, input_type: str, slice_bytes: int) -> None:
    body = data.draw(well_formed(input_type)).encode(errors="surrogatepass")
    plain, in_slices = both(input_type, body, slice_bytes)
    assert in_slices == plain if isinstance(plain, tuple) else isinstance(in_slices, str)


@settings(suppress_health_check=[HealthCheck.too_slow])  # it counts the time of a busy machine
@given(st.data(), st.sampled_from(sorted(INPUTS)), SIZES)
def test_what_is_damaged(data: st.DataObject, input_type: str, slice_bytes: int) -> None:
    body = bytearray(data.draw(well_formed(input_type)).encode(errors="surrogatepass"))
    start = data.draw(st.integers(0, len(body)))
    end = start + data.draw(st.integers(0, 3))
    body[start:end] = data.draw(st.text('[]{}",:\\0-.eu \n', max_size=3).map(str.encode) | st.binary(max_size=2))
    plain, in_slices = both(input_type, bytes(body), slice_bytes)
    assert in_slices == plain if isinstance(plain, tuple) else isinstance(in_slices, str)


PIECES = ["[", "]", "{", "}", '"', ",", ":", "1", "-2.5e3", '"input"', '"input_batch"', "a]b", "\\", "\\ud83d", " "]


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.sampled_from(sorted(INPUTS)), SIZES)
def test_what_is_made_of_pieces_of_json(text: str, input_type: str, slice_bytes: int) -> None:
    for body in ("", '{"input":[', '{"input_batch":[', '{"input":"'):
        plain, in_slices = both(input_type, (body + text).encode(), slice_bytes)
        assert in_slices == plain if isinstance(plain, tuple) else isinstance(in_slices, str)


@pytest.mark.parametrize("slice_bytes", [1, 3, 8, 20, 64, SLICE_BYTES])
@pytest.mark.parametrize(
    ("input_type", "body"),
    [
        ("doubles", b""),
        ("doubles", b"  "),
        ("doubles", b"[1]"),
        ("doubles", b"{}"),
        ("doubles", b'{"input": [1.5, 2, 3.5, "4", 5]}'),
        ("doubles", b'{"input": [1.5, 2, 3.5, NaN, 5]}'),
        ("doubles", b'{"input": [1.5, 2, 3.5, 1e999, 5]}'),
        ("doubles", b'{"input": [1.5, 2, 3.5, [4], 5]}'),
        ("doubles", b'{"input": [1.5, 2, 3.5, 4,]}'),
        ("doubles", b'{"input": [1.5, 2, 3.5 4]}'),
        ("doubles", b'{"input": [1.5, 2, 3.5, 04]}'),
        ("doubles", b'{"input": [1.5, 2, 3.5, 4'),
        ("doubles", b'{"input": [1.5, 2, 3.5, 4]} x'),
        ("doubles", b'{"input": [1.5, 2, 3.5, 4],}'),
        ("doubles", b'{"input" [1.5, 2, 3.5, 4]}'),
        ("doubles", b'{"input": {"a": [1]}}'),
        ("doubles", b'{"input": null}'),
        ("doubles", b'{"input": []}'),
        ("doubles", b'{"inptu": [1.5, 2, 3.5, 4]}'),
        ("doubles", b'{"input": [1.5], "version": 5}'),
        ("doubles", b'{"input": [1.5], "input_batch": [[2]]}'),
        ("doubles", b'{"input_batch": [[1.5], [2.5, 3.5, 4.5], [true]]}'),
        ("doubles", b'{"input_batch": [[1.5], [2.5, 3.5, 4.5, false], [1]]}'),
        ("doubles", b'{"input_batch": [[1.5], [2.5, 3.5, 4.5], [[7]]]}'),
        ("doubles", b'{"input_batch": [[1.5], [2.5, 3.5, 4.5], 7]}'),
        ("doubles", b'{"input_batch": [[1.5], [2.5, 3.5, 4.5], []]}'),
        ("doubles", b'{"input_batch": [[1.5], [2.5, 3.5, 4.5] [5]]}'),
        ("doubles", b'{"input_batch": [[1.5], [2.5, 3.5, 4.5'),
        ("doubles", b'{"input":' + b"[" * 5000),
        ("floats", b'{"input": [1.5, 2, 3.5, 1e39]}'),
        ("integers", b'{"input": [1, 2, 3, 4.5]}'),
        ("integers", b'{"input": [1, 2, 3, 2147483648]}'),
        ("strings", b'{"input": "abcdef\\x"}'),
        ("strings", b'{"input": "abcdef\n"}'),
        ("strings", '{"input": "äöü€'.encode() + b'\xff"}'),
        ("strings", b'{"input": "abcdef'),
        ("strings", b'{"input": "abc\\ud83d def"}'),
        ("strings", b'{"input_batch": ["abc", "def", 5]}'),
        ("strings", b'{"input_batch": ["abc", "de\\xf", "ghi"]}'),
        ("strings", b'{"input_batch": ["abc", "", "ghi"]}'),
        ("bytes", b'{"input": "####"}'),
    ],
)
def test_errors_are_those_of_the_body_in_one_go(input_type: str, body: bytes, slice_bytes: int) -> None:
    plain, in_slices = both(input_type, body, slice_bytes)
    assert isinstance(plain, str)
    assert in_slices == plain


@pytest.mark.parametrize("padding", ["=", "====", "YQ==", "=YQ="])
@pytest.mark.parametrize("slice_bytes", [1, 16, 20])
def test_padding_ends_base64_in_slices_too(padding: str, slice_bytes: int) -> None:
    plain, in_slices = both("bytes", b'{"input":"%b%b"}' % (b"QUJD" * 9 + b"YQ==", padding.encode()), slice_bytes)
    assert "not base64" in str(plain)
    assert "not base64" in str(in_slices)


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b'{"input":[1%b]}' % (b" " * LONGEST_TOKEN), "a number, a name or blanks of more than 65536 bytes"),
        (b'{%b"input":[1]}' % (b" " * 2 * LONGEST_TOKEN), "a number, a name or blanks of more than 65536 bytes"),
        (b'{"input":[1]}%b' % (b" " * 2 * LONGEST_TOKEN), "a number, a name or blanks of more than 65536 bytes"),
        (b'{"%b":[1]}' % (b"a" * LONGEST_TOKEN), "a number, a name or blanks of more than 65536 bytes"),
        (b'{"input":[%b]}' % (b"1" * 2 * LONGEST_TOKEN), "out of range"),
        (b'{"version":"%b"}' % (b"a" * 2 * LONGEST_TOKEN), "version has more than 65536 characters"),
        (b'{%b"input":[1]}' % (b'"uid":1,' * 16), "an object of more than 16 members"),
        (b'{"input_batch":[%b[1]]}' % (b"[1]," * MAX_BATCH), "more than 100000 queries"),
        (b'{"input_batch":[%b[1]]}' % (b'"",' * MAX_BATCH), "Expected `array`, got `str` - at `$.input_batch[0]`"),
    ],
)
def test_what_would_take_long_without_being_cut_is_refused(body: bytes, hint: str) -> None:
    with pytest.raises(JsonError) as refused:
        sliced("doubles", body)
    assert hint in refused.value.cause
    assert len(refused.value.cause) < 600


def test_no_step_reads_more_than_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    for input_type, value in (("doubles", "[1.5]"), ("strings", '"abcd"'), ("bytes", '"YWJj"')):
        element = value.strip("[]")
        long = value.replace(element, ",".join([element] * 20_000)) if "[" in value else '"' + "YWJj" * 20_000 + '"'
        decoder = PredictDecoder(InputType(input_type))
        parse = decoder.parse
        decoder.parse = lambda piece, parse=parse: sizes.append(len(piece)) or parse(piece)
        for text in (f'{{"input":{long}}}', f'{{"input_batch":[{long},{long},{",".join([value] * 20_000)}]}}'):
            steps = SlicedReader(decoder, text.encode(), 4096).read()
            read = 0
            while next(steps, True) is None:
                assert sum(sizes) < 4096 + 100, "what came in one step"
                read += sum(sizes)
                sizes.clear()
            assert read > len(text) * 0.9
