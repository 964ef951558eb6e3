"""Inputs of a query as users hold them -> the body of a request: JSON, or the very bytes that the model gets."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from clipper_admin.exceptions import ClipperException

OCTETS: Final = "application/octet-stream"
BATCH: Final = "application/x-clipper-batch"
_ARRAYS_CARRY_NAN: Final = (
    "; NaN and infinities travel in arrays of one dimension and just the application's type, "
    "such as numpy.array(input, 'float64') for doubles"
)
_KINDS: Final = {"<f8": "doubles", "<f4": "floats", "<i4": "integers"}


NO_NAN_IN_FEEDBACK: Final = (
    "; feedback has no NaN and no infinities: give a finite label or loss, and name a query whose input has some by "
    "its query_id"
)


def encode(fields: Mapping[str, object], about_nan: str = _ARRAYS_CARRY_NAN) -> bytes:
    """The JSON body of a request.

    Values may hold numpy arrays and scalars, pandas objects, tuples, and bytes (sent as base64). ``about_nan`` is
    what is advised about NaN.

    Raises:
        ClipperException: something in it has no JSON form (NaN and the infinities included).
    """
    try:
        return json.dumps(fields, default=_plain, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        way_out = about_nan if "Out of range float" in str(error) else ""
        raise ClipperException(f"The request can't be written as JSON: {error}{way_out}. Nothing was sent") from error


def as_batch(inputs: object) -> Any:
    """``inputs`` as something ``encode`` writes as a list, one element an input."""
    if isinstance(inputs, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(inputs, Iterable):
        raise ClipperException(
            f"inputs must be a list of inputs, not one {type(inputs).__name__}: use predict for a single input"
        )
    if isinstance(inputs, (list, tuple)) or hasattr(inputs, "tolist") or hasattr(inputs, "to_numpy"):
        return inputs
    return list(inputs)


def kind_of(value: object) -> str | None:
    """The input type whose elements ``value`` holds as they are sent; None for what has to be written as JSON.

    That is ``bytes`` for bytes and uint8 arrays, else the type with the dtype of an array of one dimension.
    """
    if _is_raw(value):
        return "bytes"
    if getattr(value, "ndim", 0) != 1 or hasattr(value, "mask"):  # what a masked array hides must not be sent
        return None
    return _KINDS.get(getattr(getattr(value, "dtype", None), "str", ""))


def kind_of_all(values: Sequence[object]) -> str | None:
    """The ``kind_of`` every one of ``values``."""
    kinds = {kind_of(values[0])} if len(values) else {None}
    return kinds.pop() if None not in kinds and all(kind_of(value) in kinds for value in values) else None


def binary(value: Any) -> bytes:
    """The body of one input that has a ``kind_of``."""
    if isinstance(value, bytes):
        return value
    return value.tobytes() if hasattr(value, "tobytes") else _bytes(value)


def binary_batch(values: Sequence[Any]) -> bytes:
    """The body of many inputs: their number, their lengths in bytes, and then they themselves."""
    inputs = [binary(value) for value in values]
    return b"".join((struct.pack(f"<{1 + len(inputs)}I", len(inputs), *map(len, inputs)), *inputs))


def is_raw(value: object) -> bool:
    """Whether ``value`` is bytes, a uint8 array, or a list with one of them in it."""
    if isinstance(value, (list, tuple)):
        return any(_is_raw(each) for each in value)
    return _is_raw(value)


def for_application(value: object, app_name: str, input_type: str) -> object:
    """One raw input as an application of ``input_type`` takes it: base64 of its bytes, or an array of integers.

    Raises:
        ClipperException: these are bytes, and the application takes something else.
    """
    if not _is_raw(value):
        return value
    if input_type == "bytes":
        return base64.b64encode(_bytes(value)).decode("ascii")
    if _is_array(value):
        return value
    hint = "decode them first, like input.decode()" if input_type == "strings" else "give numbers"
    raise ClipperException(
        f"Application {app_name!r} takes {input_type}, not {type(value).__name__}: {hint}. Nothing was sent"
    )


def _is_raw(value: object) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview)) or _is_array(value)


def _is_array(value: object) -> bool:
    """Duck-typed, as numpy is not imported here; a scalar is none."""
    return str(getattr(value, "dtype", "")) == "uint8" and getattr(value, "ndim", 0) > 0


def _bytes(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    array = value.to_numpy() if hasattr(value, "to_numpy") else value
    return bytes(array.tobytes())


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__} is neither a number, a string, bytes nor a list of them")
