"""How wrong an output is, given the true label: a number from 0 to 1.

``zero_one`` compares JSON values: 0 if they are the same, else 1. ``absolute`` and ``squared`` compare numbers, or
equally long lists of numbers (the mean over the elements): the error divided by the application's ``loss_scale``, or
the square of that, and 1 at most. An output that is no number, or has another shape than the label, has a loss of 1.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from clipper.errors import BadRequest
from clipper.fragments import as_fragment
from clipper.selection.outputs import Numbers, canonical, distance, numbers, shape

LOSSES: Final = ("zero_one", "absolute", "squared")

_SHOWN: Final = 40
"""Characters of what was sent that an error repeats."""


def loss(kind: str, label: bytes, output: bytes, scale: float) -> float:
    """The loss, in [0, 1], of an output where the label is this, as ``check_label`` gave it."""
    if label == output:
        return 0.0
    if kind == "zero_one":
        return 0.0 if canonical(label) == canonical(output) else 1.0
    wanted, given = numbers(label), numbers(output)
    if wanted is None or given is None or shape(wanted) != shape(given):
        return 1.0
    return min(distance(wanted, given) / scale if kind == "absolute" else _squares(wanted, given, scale), 1.0)


def _squares(wanted: Numbers, given: Numbers, scale: float) -> float:
    if isinstance(wanted, list) and isinstance(given, list):
        gaps = [(a - b) / scale for a, b in zip(wanted, given, strict=True)]
        return sum([gap * gap for gap in gaps]) / len(gaps)
    gap = distance(wanted, given) / scale
    return gap * gap


def check_label(kind: str, label: object) -> bytes:
    """The label as canonical JSON; BadRequest, saying what to send, for one that outputs can't be compared with.

    A text is taken as JSON if it is JSON, as outputs are: the label ``"7"`` is the number 7.
    """
    text = _as_json(label)
    if text == b"null":
        raise BadRequest(f"The label is null: send {_wanted(kind)}, or a loss in its place")
    if kind != "zero_one":
        value = numbers(text)
        if value is None or value == []:
            raise BadRequest(
                f"The label is {_shown(text)}: the application's loss is {kind}, so send {_wanted(kind)}"
            )
    return canonical(text)


def _as_json(label: object) -> bytes:
    if isinstance(label, str):
        return as_fragment(label)
    if isinstance(label, float) and not math.isfinite(label):
        raise BadRequest(f"The label is {label}: no JSON value and no finite number. Send one that is")
    try:
        return msgspec.json.encode(label)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadRequest(f"The label can't be written as JSON ({error}): send a JSON value") from None


def _wanted(kind: str) -> str:
    if kind == "zero_one":
        return "the true output, any JSON value but null"
    return "the true output, a finite number or a list of finite numbers"


def _shown(text: bytes) -> str:
    shown = text.decode(errors="replace")
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def check_loss(loss: object) -> float:
    """A loss that was given in place of a label; BadRequest unless it is a number from 0 to 1."""
    if isinstance(loss, int | float) and not isinstance(loss, bool) and 0 <= loss <= 1:
        return float(loss)
    raise BadRequest(f"The loss is {_shown(repr(loss).encode(errors='replace'))}: send a number from 0 (right) to 1")
