"""Outputs of a function -> JSON fragments, or errors that say what to return."""

import enum
import json
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper.container.outputs import MAX_NESTING, OutputError, encode_outputs


class Colour(enum.IntEnum):
    RED = 3


class Series:
    """Has ``tolist`` and nothing else, like a pandas Series."""

    def __init__(self, values):
        self._values = values

    def tolist(self):
        return self._values


def nest(depth):
    value: list = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("output", "fragment"),
    [
        ("6.6", "6.6"),
        (" -12 \n", "-12"),
        ("1e5", "1e5"),
        ("cat", '"cat"'),
        ("", '""'),
        ('{"a": [1, "é"]}', '{"a": [1, "é"]}'),
        ('"quoted"', '"quoted"'),
        ("true", "true"),
        ("null", "null"),
        ("nullx", '"nullx"'),
        ("True", '"True"'),
        ("NaN", '"NaN"'),
        ("-Infinity", '"-Infinity"'),
        ('{"a": NaN}', '"{\\"a\\": NaN}"'),
        ("1e999", '"1e999"'),
        ("01", '"01"'),
        ("1 2", '"1 2"'),
        ("\ufeff1", '"\ufeff1"'),
        ("\u0661", '"\u0661"'),
        ("a\tb", '"a\\tb"'),
        ('"a\tb"', '"\\"a\\tb\\""'),
        ("\ud83d\ude00", '"😀"'),
        ("\ud800", '"\ufffd"'),
        ('"\ud800"', '"\ufffd"'),
        (b"6.6", "6.6"),
        (b"caf\xc3\xa9", '"café"'),
        (np.bytes_(b"cat"), '"cat"'),
        (np.str_("cat"), '"cat"'),
        (6.6, "6.6"),
        (1e300, "1e+300"),
        (7, "7"),
        (Colour.RED, "3"),
        (True, "true"),
        (np.True_, "true"),
        (np.int8(-3), "-3"),
        (np.float64(6.6), "6.6"),
        (np.float32(6.6), "6.6"),
        (np.float16(6.6), "6.6"),
        (np.longdouble("0.5"), "0.5"),
        ([1, "a", None, True], '[1,"a",null,true]'),
        ((1.5, np.float32(6.6)), "[1.5,6.6]"),
        ({"label": "é", "p": np.array([0.5, 0.25], np.float32)}, '{"label":"é","p":[0.5,0.25]}'),
        (np.array([6.6, 0.1], np.float32), "[6.6,0.1]"),
        (np.array(["a", "b"]), '["a","b"]'),
        (np.array(3), "3"),
    ],
)
def test_output_as_fragment(output, fragment):
    (outcome,) = encode_outputs([output], 1)

    assert (outcome.ok, bytes(outcome.data).decode()) == (True, fragment)


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (None, "returned None for this query: does the function return a value on every path?"),
        (float("nan"), "returned nan, which JSON can't hold: return a string"),
        (np.float32("inf"), "returned inf, which JSON can't hold"),
        ([1, float("nan")], "returned list that JSON can't hold"),
        (np.array([np.nan], np.float32), "returned list that JSON can't hold"),
        ({1: {2}}, "returned dict that JSON can't hold (there is set in it)"),
        ({np.int64(1): 2}, "returned dict that JSON can't hold (keys must be"),
        (nest(MAX_NESTING + 1), "nests deeper than 100 levels"),
        (nest(200_000), "JSON can't hold"),
        (Decimal("1.5"), "returned Decimal, which JSON can't hold: return a string, a number, a list or a dict"),
        (1j, "returned complex"),
        (np.complex64(1), "returned complex"),
        (np.datetime64("2020-01-01"), "returned date"),
        (b"\xff", "bytes that are not UTF-8"),
    ],
)
def test_output_that_cannot_be_sent_fails_alone(output, complaint):
    before, outcome, after = encode_outputs(["1", output, "2"], 3)

    assert not outcome.ok
    assert complaint in bytes(outcome.data).decode()
    assert (before, after) == ((True, b"1"), (True, b"2"))


def test_an_integer_too_long_to_write_fails_alone():
    (outcome,) = encode_outputs([10**5000], 1)

    assert outcome == (False, b"the model returned an integer of 16610 bits: return a string")


def test_text_that_readers_of_json_would_choke_on_is_sent_as_a_string():
    for text in ("9" * 5000, "[" * 100_000, json.dumps(nest(MAX_NESTING + 1))):
        assert encode_outputs([text], 1) == [(True, json.dumps(text).encode())]


def test_wide_and_just_deep_enough_documents_are_embedded():
    for value in (nest(MAX_NESTING), [[]] * 1000, [{}] * 1000):
        text = json.dumps(value, separators=(",", ":")).encode()
        assert encode_outputs([text, text.decode(), value], 3) == [(True, text)] * 3


def test_a_list_that_holds_itself_fails_alone():
    looped: list = []
    looped.append(looped)

    assert [each.ok for each in encode_outputs([looped, "1"], 2)] == [False, True]


@pytest.mark.parametrize(
    ("outputs", "fragments"),
    [
        (["1", "a"], [b"1", b'"a"']),
        (("1", "a"), [b"1", b'"a"']),
        (np.array([1.5, 2.0]), [b"1.5", b"2.0"]),
        (np.array([6.6, 0.1], np.float32), [b"6.6", b"0.1"]),
        (np.array([1, 2], np.uint64), [b"1", b"2"]),
        (np.array([True, False]), [b"true", b"false"]),
        (np.array(["a", "2"]), [b'"a"', b"2"]),
        (np.array([[1, 2], [3, 4]]), [b"[1,2]", b"[3,4]"]),
        (Series([1.5, "a"]), [b"1.5", b'"a"']),
        (np.array(["a", 2.5], dtype=object), [b'"a"', b"2.5"]),
    ],
)
def test_outputs_may_be_any_sequence(outputs, fragments):
    assert encode_outputs(outputs, 2) == [(True, each) for each in fragments]


@pytest.mark.parametrize(
    ("outputs", "name"),
    [
        ("ab", "str"),
        ({"a": 1, "b": 2}, "dict"),
        (None, "NoneType"),
        (1.5, "float"),
        (np.array(1.5), "ndarray"),
        (np.float64(1.5), "float64"),
        ((each for each in "ab"), "generator"),
        ({1, 2}, "set"),
    ],
)
def test_anything_but_a_sequence_names_its_type_and_what_to_return(outputs, name):
    with pytest.raises(OutputError, match=f"not return a list: it returned {name} for a batch of 2; return a list"):
        encode_outputs(outputs, 2)


def test_a_table_is_told_the_way_out():
    table = SimpleNamespace(values=np.array([[1, 2], [3, 4]]))  # all that counts of a pandas DataFrame

    with pytest.raises(OutputError, match=r"return a list, one output per query: its \.values\.tolist\(\) is one"):
        encode_outputs(table, 2)
    assert encode_outputs(table.values.tolist(), 2) == [(True, b"[1,2]"), (True, b"[3,4]")]


@pytest.mark.parametrize("outputs", [[], ["1"], ["1", "2", "3"], np.array([1.0])])
def test_wrong_count_names_both_counts(outputs):
    with pytest.raises(OutputError, match=rf"^Expected model to return 2 outputs, found {len(outputs)} outputs$"):
        encode_outputs(outputs, 2)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.lists(anything, max_size=4))
def test_every_fragment_is_strict_json_and_means_the_output(outputs):
    for output, (ok, data) in zip(outputs, encode_outputs(outputs, len(outputs)), strict=True):
        text = bytes(data).decode()
        if ok:
            value = json.loads(text, parse_constant=lambda name: pytest.fail(name))
            if isinstance(output, bool | int | float):
                assert value == output
            elif isinstance(output, str) and value != output:
                assert text in (output.strip(" \t\r\n"), json.dumps(output.encode(errors="replace").decode()))
        else:
            assert text


@given(st.integers(-24, 15), st.integers(0, 999))
def test_short_floats_keep_their_short_form(exponent, digits):
    number = np.float32(f"{digits}e{exponent}")
    ((_, one),) = encode_outputs([number], 1)
    ((_, row),) = encode_outputs(np.array([number]), 1)

    assert np.float32(one.decode()) == number
    assert float(one) == float(row) == float(str(number))


def test_an_output_of_two_lines_is_not_two_outputs() -> None:
    texts = [bytes(outcome.data) for outcome in encode_outputs(["1\n2", "3"], 2)]
    assert texts == [b'"1\\n2"', b"3"]
    assert [bytes(outcome.data) for outcome in encode_outputs(["1\n", "\n3"], 2)] == [b"1", b"3"]
