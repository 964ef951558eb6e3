"""A batch as the user's function sees it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipper.rpc.wire import Frame, InputType, decode_lengths, item_offset

Array = npt.NDArray[Any]

_DTYPES: Final[dict[InputType, np.dtype[Any]]] = {
    InputType.BYTES: np.dtype("u1"),
    InputType.INTEGERS: np.dtype("<i4"),
    InputType.FLOATS: np.dtype("<f4"),
    InputType.DOUBLES: np.dtype("<f8"),
}


def dtype_of(input_type: InputType) -> np.dtype[Any]:
    """Of the inputs of a type that is not strings."""
    return _DTYPES[input_type]


class Inputs:
    """The queries of one BATCH message. WireError if the message is malformed."""

    def __init__(self, frame: Frame, input_type: InputType) -> None:
        self._type = input_type
        self._payload = frame.payload
        self._start = item_offset(frame.items)
        self._lengths = decode_lengths(frame)

    def __len__(self) -> int:
        return len(self._lengths)

    def part(self, first: int, end: int) -> Array:
        """Queries ``first`` to ``end`` (not included, at least one), as one array.

        Numbers of equal lengths are a 2-D array; of different lengths, an object array of 1-D arrays. Both are
        writable views of the message. Strings are an object array of ``str``. ValueError if an input is not of its
        type, which a frontend should have seen.
        """
        lengths = self._lengths[first:end]
        start = self._start + sum(self._lengths[:first])
        if self._type is InputType.STRINGS:
            return self._strings(lengths, start)
        if lengths.count(lengths[0]) == len(lengths):
            return self._numbers((len(lengths),), lengths[0], start)
        array = np.empty(len(lengths), dtype=object)
        for index, length in enumerate(lengths):
            array[index] = self._numbers((), length, start)
            start += length
        return array

    def _numbers(self, shape: tuple[int, ...], length: int, start: int) -> Array:
        dtype = _DTYPES[self._type]
        columns, rest = divmod(length, dtype.itemsize)
        if rest:
            raise ValueError(f"an input of {length} bytes is not a whole number of {self._type.value}")
        return np.ndarray((*shape, columns), dtype, self._payload, start)

    def _strings(self, lengths: tuple[int, ...], start: int) -> Array:
        array = np.empty(len(lengths), dtype=object)
        for index, length in enumerate(lengths):
            array[index] = str(self._payload[start : start + length], "utf-8", "surrogatepass")
            start += length
        return array
