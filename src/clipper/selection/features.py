"""An input as a short vector of features, for policies that look at it."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

DTYPES: Final = {"doubles": "<f8", "floats": "<f4", "integers": "<i4", "bytes": "u1"}
"""How the numbers of an input are kept, by input type; inputs of strings have none."""

_LARGEST: Final = 1e150


def vector(data: bytes, input_type: str, dimensions: int) -> Vector:
    """``dimensions`` features of the input and a constant 1 as the last, the others scaled to a length of at most 1.

    What is no finite number counts as 0. A longer input is reduced by feature hashing with signs (Weinberger et al.
    2009): each number is added to, or taken from, the feature that a fixed hash of its place names.
    """
    values: Vector = np.frombuffer(data, DTYPES[input_type]).astype(np.float64)
    if not np.isfinite(values).all():
        values[~np.isfinite(values)] = 0.0
    if values.size > dimensions:
        places, signs = _hashes(values.size, dimensions)
        signed = np.clip(values, -_LARGEST, _LARGEST) * signs
        values = np.asarray(np.bincount(places, weights=signed, minlength=dimensions), np.float64)
    features = np.zeros(dimensions + 1)
    features[: values.size] = np.clip(values, -_LARGEST, _LARGEST)
    # The theory wants vectors of bounded length; to scale the short ones up would make noise of silence.
    length = float(np.sqrt(features @ features))
    if length > 1.0:
        features /= length
    features[-1] = 1.0
    return features


@functools.lru_cache(maxsize=64)
def _hashes(length: int, dimensions: int) -> tuple[npt.NDArray[Any], Vector]:
    """The feature and the sign of each place: the finaliser of SplitMix64 (Steele et al. 2014)."""
    mixed = np.arange(1, length + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    places = ((mixed >> np.uint64(1)) % np.uint64(dimensions)).astype(np.intp)
    return places, np.where(mixed & np.uint64(1), 1.0, -1.0)
