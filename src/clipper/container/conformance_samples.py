"""Queries that every container can be asked, and what the model of ``docs/wire.md``'s conformance section answers."""

from __future__ import annotations

import json
import math
import struct
from typing import Final, NamedTuple, NoReturn

from clipper.rpc.wire import InputType

FAILURE: Final = "asked to fail"
_FAILING_NUMBER: Final = 99
_CODES: Final = {InputType.BYTES: "B", InputType.INTEGERS: "i", InputType.FLOATS: "f", InputType.DOUBLES: "d"}
_LETTERS: Final = "abcdefghijk"

UNICODE: Final = (
    "grüße",
    "日本語",
    "🙂 and 🚀",
    'a "quote"',
    "back\\slash",
    "tab\tline\nfeed\r",
    "\x01\x1f",
    "\u2028",
    "é",
)
PLAIN_TEXTS: Final = ("cat", "NaN", "-Infinity", "01", "1 2", "[1", "True", "{'a': 1}", "1.", '"a', "+1", "[1,]", " ")
JSON_TEXTS: Final = ("6.6", "-3e2", "true", "null", "[1, 2]", '{"a": {"b": [null, "é"]}}', '"quoted"', "[]", " 7 ")


class Query(NamedTuple):
    """An input as it travels, and the answer: a value of JSON, or an error if the model fails on it."""

    data: bytes
    expected: object
    fails: bool = False


def query(kind: InputType, number: int, size: int) -> Query:
    """The query of this ``number``, with ``size`` elements; sums are exact in any order, in single precision, too."""
    if kind is InputType.STRINGS:
        return text_query("".join(_LETTERS[(number + place) % len(_LETTERS)] for place in range(size)))
    elements = [_element(kind, number + place) for place in range(size)]
    return Query(struct.pack(f"<{size}{_CODES[kind]}", *elements), [size, sum(elements)])


def text_query(text: str) -> Query:
    """A text that is no JSON document: it comes back as a JSON string."""
    return Query(text.encode(), text)


def document_query(text: str) -> Query:
    """A text that is a JSON document: it comes back as this document."""
    return Query(text.encode(), json.loads(text))


def failing(kind: InputType) -> Query:
    """A query on which the model raises."""
    data = b"fail" if kind is InputType.STRINGS else struct.pack(f"<{_CODES[kind]}", _FAILING_NUMBER)
    return Query(data, None, fails=True)


def read_document(data: bytes) -> object:
    """The value of a JSON document. ValueError if it is none, however a lenient reader might take it."""
    return json.loads(data.decode(), parse_constant=_refuse)


def same(found: object, expected: object) -> bool:
    """Whether these are the same value of JSON, where 1 and 1.0 are, but 1 and true are not."""
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected)
    return found == expected and isinstance(found, bool) == isinstance(expected, bool)


def _element(kind: InputType, number: int) -> float:
    """Unsigned bytes above 127, whole numbers of both signs, and halves, as far as the type has them."""
    small = number % len(_LETTERS)
    if kind is InputType.BYTES:
        return small + 200
    return small - 5 if kind is InputType.INTEGERS else (small - 5) / 2


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
