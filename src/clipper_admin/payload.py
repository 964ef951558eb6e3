"""Inputs of a query as users hold them -> the JSON of a request."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from clipper_admin.exceptions import ClipperException


def encode(fields: Mapping[str, object]) -> bytes:
    """The JSON body of a request.

    Values may hold numpy arrays and scalars, pandas objects, tuples, and bytes (sent as base64).

    Raises:
        ClipperException: something in it has no JSON form (NaN and the infinities included).
    """
    try:
        return json.dumps(fields, default=_plain, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ClipperException(f"The request can't be written as JSON: {error}. Nothing was sent") from error


def as_batch(inputs: object) -> Any:
    """``inputs`` as something ``encode`` writes as a list, one element an input."""
    if isinstance(inputs, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(inputs, Iterable):
        raise ClipperException(
            f"inputs must be a list of inputs, not one {type(inputs).__name__}: use predict for a single input"
        )
    if isinstance(inputs, (list, tuple)) or hasattr(inputs, "tolist") or hasattr(inputs, "to_numpy"):
        return inputs
    return list(inputs)


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
