"""The shortcut for the usual body reads what the ordinary decoder reads, or leaves it alone."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipper.frontend.codec import PredictDecoder
from clipper.frontend.numbers import pack_input
from clipper.rpc.wire import InputType

compiled = pytest.mark.skipif(pack_input.__module__ == "clipper.frontend.numbers", reason="it is not compiled here")

CODES = {"d": InputType.DOUBLES, "f": InputType.FLOATS, "i": InputType.INTEGERS}
NUMBERS = (
    st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.integers(-(2**70), 2**70).map(str)
    | st.integers(-(2**31), 2**31 - 1).map(str)
    | st.from_regex(r"-?[0-9]{1,22}(\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
    | st.sampled_from(
        ["01", "-", "+1", ".5", "1.", "1e", "1e+", "NaN", "Infinity", "1_0", "0x1", "", "-0", "1E400", "1e-400"]
    )
)
BLANKS = st.sampled_from(["", " ", "\n\t ", "\r"])


@given(st.lists(st.tuples(NUMBERS, BLANKS), max_size=5), st.sampled_from(sorted(CODES)), BLANKS)
@example([("9007199254740993", "")], "d", "")
@example([("1.7976931348623157e308", ""), ("4.9e-324", "")], "d", "")
@example([("0.500000000000000166533453693773481063544750213623046875", "")], "d", "")
@example([("3.4028235677973366e38", "")], "f", "")
def test_what_it_reads_is_what_the_ordinary_decoder_reads(
    numbers: list[tuple[str, str]], code: str, blank: str
) -> None:
    listed = ",".join(blank + number + after for number, after in numbers)
    body = f'{blank}{{"input"{blank}:{blank}[{listed}]{blank}}}{blank}'.encode()
    packed = pack_input(body, code)
    if packed is not None:
        decoder = PredictDecoder(CODES[code])
        assert packed == decoder.to_bytes(decoder.parse(body).input)


@compiled
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_it_reads_every_list_of_doubles(numbers: list[float]) -> None:
    body = json.dumps({"input": numbers}).encode()
    assert pack_input(body, "d") == struct.pack(f"<{len(numbers)}d", *numbers)


@compiled
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1))
def test_it_reads_every_list_of_integers(numbers: list[int]) -> None:
    assert pack_input(json.dumps({"input": numbers}).encode(), "i") == struct.pack(f"<{len(numbers)}i", *numbers)


@compiled
def test_halfway_cases_are_rounded_to_even() -> None:
    for text in ("9007199254740993", "9007199254740993.0", "9007199254740995", "1.00000000000000011102230246251565"):
        (value,) = struct.unpack("<d", pack_input(b'{"input":[%b]}' % text.encode(), "d") or b"")
        assert value == float(text)
    assert math.copysign(1.0, struct.unpack("<d", pack_input(b'{"input":[-0.0]}', "d") or b"")[0]) == -1.0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"input":[]}',
        b'{"input":[1]',
        b'{"input":[1]}}',
        b'{"input":[1]}\0',
        b'{"input":[1,]}',
        b'{"input":[1 2]}',
        b'{"input":[1\0]}',
        b'{"input":[1e400]}',
        b'{"input":["1"]}',
        b'{"input":[[1]]}',
        b'{"input":[1],"input":[2]}',
        b'{"input":[1],"version":"1"}',
        b'{"inputs":[1]}',
        b'{"input_batch":[[1]]}',
        b'[{"input":[1]}]',
        b'\xef\xbb\xbf{"input":[1]}',
        b'{"input":[' + b"1," * 100_000,
    ],
)
def test_what_is_not_the_usual_body_is_left_alone(body: bytes) -> None:
    assert pack_input(body, "d") is None
