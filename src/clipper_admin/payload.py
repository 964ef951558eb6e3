"""Inputs of a query as users hold them -> the JSON of a request."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping

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


def as_batch(inputs: object) -> object:
    """``inputs`` as something ``encode`` writes as a list, one element an input."""
    if isinstance(inputs, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(inputs, Iterable):
        raise ClipperException(
            f"inputs must be a list of inputs, not one {type(inputs).__name__}: use predict for a single input"
        )
    if isinstance(inputs, (list, tuple)) or hasattr(inputs, "tolist") or hasattr(inputs, "to_numpy"):
        return inputs
    return list(inputs)


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__} is neither a number, a string, bytes nor a list of them")
