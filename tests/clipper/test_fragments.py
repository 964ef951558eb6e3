from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipper.fragments import are_fragments, as_fragment, is_fragment

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.booleans())
def test_json_is_spliced_as_it_is(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    if "\\ud" not in text:
        assert is_fragment(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"NaN",
        b'1.5,"default":true',
        b'1}, {"a": 2',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"[1, 2",
        b"tru",
        b"1 2",
        b"[" * 100_000,
    ],
)
def test_what_would_break_an_answer_is_no_fragment(text: bytes) -> None:
    assert not is_fragment(text)


@given(st.binary(max_size=20))
def test_what_passes_leaves_the_answer_json(text: bytes) -> None:
    if is_fragment(text):
        assert list(json.loads(b'{"output":%b,"default":false}' % text)) == ["output", "default"]


PIECES = st.lists(
    st.sampled_from([b"1", b"[", b"]", b",", b"{", b"}", b'"a":', b'"', b" ", b"\xc3", b"\xa4"]), max_size=6
)


@given(st.lists(PIECES.map(b"".join), max_size=6))
@example([b"1,2", b"[3", b"4]"])
@example([b'"a', b'b"'])
@example([b"", b"1"])
@example([b'"\xc3', b'\xa4"'])
def test_many_pass_only_if_each_does(texts: list[bytes]) -> None:
    assert not are_fragments(texts) or all(map(is_fragment, texts))


@given(st.lists(st.one_of(st.integers(), st.text(), st.lists(st.booleans()), st.none())))
def test_what_is_written_without_blanks_passes_at_once(values: list[object]) -> None:
    assert are_fragments([json.dumps(each, separators=(",", ":")).encode() for each in values])


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_becomes_a_fragment(text: str) -> None:
    assert is_fragment(as_fragment(text))


def test_a_number_that_readers_would_take_for_infinite_is_a_string() -> None:
    assert as_fragment("1e999") == b'"1e999"'
