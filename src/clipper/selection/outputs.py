"""What models say, read so that it can be compared: as JSON values, or as numbers."""

from __future__ import annotations

import functools
import math
from typing import Final

import msgspec

LONGEST_READ: Final = 4096
"""Bytes of an output that is read to be compared; a longer one agrees only with the very same text."""

LONGEST_REMEMBERED: Final = 64
REMEMBERED: Final = 4096
_EXACT: Final = 2.0**53

Numbers = float | list[float]
"""One number, or a list of them."""


def _whole_if_it_is(text: str) -> int | float | str:
    """A number with a fraction or an exponent, as an integer if that is what it is; beyond doubles, its text."""
    number = float(text)
    if abs(number) < _EXACT:
        return int(number) if number.is_integer() else number
    return text if math.isinf(number) else number


_read: Final = msgspec.json.Decoder(float_hook=_whole_if_it_is).decode
_read_numbers: Final = msgspec.json.Decoder(float | list[float]).decode


def _rewritten(output: bytes) -> bytes:
    try:
        return msgspec.json.encode(_read(output), order="deterministic")
    except (msgspec.MsgspecError, RecursionError):
        return output  # nested too deep to be read


_remembered: Final = functools.lru_cache(maxsize=REMEMBERED)(_rewritten)


def canonical(output: bytes) -> bytes:
    """One text for all ways to write a JSON value.

    White space, the order of an object's members and the way a number is written (``1``, ``1.0``, ``1e0``) make no
    difference.
    """
    if len(output) <= LONGEST_REMEMBERED:
        return _remembered(output)
    return output if len(output) > LONGEST_READ else _rewritten(output)


def numbers(output: bytes) -> Numbers | None:
    """The number or numbers that an output is; None for anything else, a number beyond doubles included."""
    try:
        found: Numbers = _read_numbers(output)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found


def shape(value: Numbers) -> int:
    """The length of a list, -1 for a number: what can be compared with each other has the same."""
    return len(value) if isinstance(value, list) else -1


def distance(one: Numbers, other: Numbers) -> float:
    """The absolute difference, its mean over the elements of lists of one shape."""
    if isinstance(one, list) and isinstance(other, list):
        gaps = [abs(a - b) for a, b in zip(one, other, strict=True)]
        return sum(gaps) / len(gaps) if gaps else 0.0
    assert not isinstance(one, list), "a list is compared with a number"
    assert not isinstance(other, list), "a number is compared with a list"
    return abs(one - other)
