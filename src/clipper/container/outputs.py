"""What the user's function returned -> the outcome of each query: a JSON text to splice, or an error."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

import numpy as np

from clipper.rpc.wire import Outcome

MAX_NESTING: Final = 100
"""How deep arrays and objects of an output may nest; many readers of JSON give up not far beyond."""

_NUMBER: Final = r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,40})?"
_number_lines = re.compile(rf"{_NUMBER}(?:\n{_NUMBER})*").fullmatch
_new_outcome: Final = tuple.__new__
_JSON_SPACE: Final = " \t\r\n"
_NOT_A_LIST: Final = (
    "Model did not return a list: it returned {} for a batch of {}; return a list, one output per query"
)
_TABLE_ADVICE: Final = ": its .values.tolist() is one, with a row per query"
_WRONG_COUNT: Final = "Expected model to return {} outputs, found {} outputs"
_NONE: Final = "the model returned None for this query: does the function return a value on every path?"
_UNFIT: Final = "the model returned {}, which JSON can't hold: return a string, a number, a list or a dict"
_UNFIT_INSIDE: Final = (
    "the model returned {} that JSON can't hold ({}): return strings, finite numbers, lists and dicts"
)
_NAN: Final = "the model returned {}, which JSON can't hold: return a string, or replace it"


class OutputError(Exception):
    """The outputs, or one of them, can't be sent; the text says what is wrong and what to return."""


def _nobody_counts() -> None:
    pass


def encode_outputs(outputs: object, count: int, failed: Callable[[], None] = _nobody_counts) -> list[Outcome]:
    """An outcome for each of ``count`` queries; OutputError if ``outputs`` is not one output per query.

    ``failed`` is called for each outcome that is an error.
    """
    items = _items(outputs, count)
    if len(items) != count:
        raise OutputError(_WRONG_COUNT.format(count, len(items)))
    return _number_texts(items) or [_outcome(each, failed) for each in items]


def _number_texts(items: Sequence[object]) -> list[Outcome] | None:
    """The most common outputs, texts of numbers, all at once; None if there is any other among them."""
    try:
        lines = "\n".join(items)  # type: ignore[arg-type]
    except TypeError:
        return None
    if not _number_lines(lines):
        return None
    texts = lines.encode().split(b"\n")
    # One output of two lines is no number, though each line is one.
    return [_new_outcome(Outcome, (True, text)) for text in texts] if len(texts) == len(items) else None


def _items(outputs: object, count: int) -> Sequence[object]:
    if isinstance(outputs, list | tuple):
        return outputs
    plain: object = None
    if isinstance(outputs, np.ndarray):
        plain = _plain_array(outputs)
    elif hasattr(outputs, "tolist"):
        plain = outputs.tolist()
    if isinstance(plain, list):
        return plain
    advice = _TABLE_ADVICE if hasattr(getattr(outputs, "values", None), "tolist") else ""
    raise OutputError(_NOT_A_LIST.format(type(outputs).__name__, count) + advice)


def _outcome(output: object, failed: Callable[[], None]) -> Outcome:
    encode = _ENCODERS.get(type(output), _encode_other)
    try:
        return Outcome(True, encode(output))
    except OutputError as error:
        failed()
        return failure(str(error))


def failure(text: str) -> Outcome:
    """The outcome of a query that could not be answered."""
    return Outcome(False, text.encode(errors="backslashreplace"))


def _encode_text(text: str) -> bytes:
    """A JSON document is sent as it is, any other text as a JSON string."""
    document = text.strip(_JSON_SPACE)
    if not _is_json(document):
        document = _json_writer.encode(text)
    return _utf8(document)


def _is_json(document: str) -> bool:
    if not document or document[0] not in '{["-0123456789tfn':  # most labels stop here
        return False
    try:
        value, end = _json_reader.raw_decode(document)
    except (ValueError, RecursionError):
        return False
    return end == len(document) and _is_shallow(value, document)


def _is_shallow(value: object, document: str) -> bool:
    return document.count("[") + document.count("{") <= MAX_NESTING or _nests_at_most(value, MAX_NESTING)


def _nests_at_most(value: object, levels: int) -> bool:
    if not isinstance(value, list | tuple | dict):
        return True
    children = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_nests_at_most(each, levels - 1) for each in children)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # halves of surrogate pairs: joined where they pair up, replaced where not
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _encode_float(number: float) -> bytes:
    if not math.isfinite(number):
        raise OutputError(_NAN.format(number))
    return float.__repr__(number).encode()


def _encode_float32(number: np.float32) -> bytes:
    return _encode_float(float(str(number)))  # the short form: 6.6, not 6.599999904632568


def _encode_int(number: int) -> bytes:
    try:
        return b"%d" % number
    except ValueError:
        raise OutputError(f"the model returned an integer of {number.bit_length()} bits: return a string") from None


def _encode_bool(truth: bool) -> bytes:
    return b"true" if truth else b"false"


def _encode_none(_: None) -> NoReturn:
    raise OutputError(_NONE)


def _encode_bytes(data: bytes) -> bytes:
    try:
        return _encode_text(data.decode())
    except UnicodeDecodeError as error:
        raise OutputError(f"the model returned bytes that are not UTF-8 ({error}): return base64 text") from None


def _encode_other(output: object) -> bytes:
    """Containers, numpy scalars, and subclasses of the simple types."""
    for kind, encode in _ENCODERS.items():
        if isinstance(output, kind):
            return encode(output)
    if isinstance(output, list | tuple | dict):
        return _encode_plain(output)
    try:
        return _encode_plain(_plain(output))
    except TypeError:
        raise OutputError(_UNFIT.format(type(output).__name__)) from None


def _encode_plain(output: object) -> bytes:
    if type(output) in _ENCODERS:
        return _ENCODERS[type(output)](output)
    try:
        document = _json_writer.encode(output)
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputError(_UNFIT_INSIDE.format(type(output).__name__, error)) from None
    if not _is_shallow(output, document):
        raise OutputError(_UNFIT_INSIDE.format(type(output).__name__, f"it nests deeper than {MAX_NESTING} levels"))
    return _utf8(document)


def _plain(value: object) -> object:
    """What JSON has for a numpy value, or for bytes, within an output."""
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, np.ndarray):
        return _plain_array(value)
    if isinstance(value, np.generic):
        item = value.item()
        if not isinstance(item, np.generic):
            return item
    raise TypeError(f"there is {type(value).__name__} in it")


def _plain_array(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> object:
    if array.dtype.kind == "f" and array.dtype.itemsize != 8:
        return array.astype(str).astype(float).tolist()
    return array.tolist()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is beyond what readers of JSON take")
    return number


_json_reader = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_json_writer = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
_ENCODERS: Final[dict[type, Callable[..., bytes]]] = {
    str: _encode_text,
    float: _encode_float,
    np.float32: _encode_float32,
    bool: _encode_bool,
    int: _encode_int,
    bytes: _encode_bytes,
    type(None): _encode_none,
}
