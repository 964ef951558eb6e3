"""A predict function called as a model container would call it, without a cluster."""

from __future__ import annotations

import base64
import binascii
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import cloudpickle
import numpy as np
import numpy.typing as npt

from clipper_admin.exceptions import ClipperException
from clipper_admin.names import canonical_input_type

WRONG_KEY: Final = "Invalid input type or JSON key"
WRONG_VALUE: Final = "Invalid input type"

_NUMBERS: Final[Mapping[str, tuple[type, npt.DTypeLike]]] = {
    "integers": (numbers.Integral, np.dtype("<i4")),
    "floats": (numbers.Real, np.dtype("<f4")),
    "doubles": (numbers.Real, np.dtype("<f8")),
}


def try_function(query: Mapping[str, Any], func: Callable[[Any], Any], input_type: str) -> Any:
    """What ``func`` returns for ``query``, or one of the two sentences above if the query does not fit.

    The function is pickled and unpickled first: what would not survive the way to a container fails here.
    """
    try:
        canonical = canonical_input_type(input_type)
    except ClipperException:
        return WRONG_KEY
    if not isinstance(query, Mapping) or not ({"input", "input_batch"} & set(query)):
        return WRONG_KEY
    inputs = [query["input"]] if "input" in query else query["input_batch"]
    try:
        batch = as_container_sees([as_container_value(each, canonical) for each in inputs])
    except (TypeError, ValueError, OverflowError):
        return WRONG_VALUE
    return cloudpickle.loads(cloudpickle.dumps(func))(batch)


def as_container_sees(values: Sequence[Any]) -> npt.NDArray[Any]:
    """One batch: a 2-D array where all inputs are numbers of one length, else an object array of the inputs."""
    if values and all(isinstance(each, np.ndarray) and each.shape == values[0].shape for each in values):
        return np.stack(values)
    batch = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        batch[index] = value
    return batch


def as_container_value(value: Any, input_type: str) -> Any:
    """One input as a container sees it; TypeError, ValueError or OverflowError if it is not of the type."""
    if input_type == "strings":
        if not isinstance(value, str):
            raise TypeError(type(value).__name__)
        return value
    if input_type == "bytes":
        return np.frombuffer(_bytes(value), dtype=np.uint8).copy()
    kind, dtype = _NUMBERS[input_type]
    if isinstance(value, (str, bytes)) or not all(isinstance(x, kind) and not isinstance(x, bool) for x in value):
        raise TypeError(type(value).__name__)
    return np.array(value if isinstance(value, np.ndarray) else list(value), dtype=dtype)


def _bytes(value: Any) -> bytes:
    """Bytes as they are, or in base64 as a REST query holds them."""
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from error
    return bytes(memoryview(value))
