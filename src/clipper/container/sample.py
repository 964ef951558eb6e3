"""A model's first query, before anybody else's: it must be answered before the container is ready."""

from __future__ import annotations

import base64
import time
from typing import Any, Final

import numpy as np

from clipper.container.inputs import Array, dtype_of
from clipper.container.load import Function
from clipper.container.log import log
from clipper.container.outputs import encode_outputs
from clipper.rpc.wire import InputType

_LONGEST: Final = 500


def try_sample(function: Function, sample: Any, input_type: InputType) -> None:
    """Has the function answer a batch of one, which also warms it up.

    Raises:
        OutputError, ValueError: what it returned is no output for one query; the text shows it.
        Exception: whatever the function raises.
    """
    began = time.monotonic()
    returned = function(as_batch(sample, input_type))
    (outcome,) = encode_outputs(returned, 1)
    if not outcome.ok:
        raise ValueError(f"for the sample {_short(sample)}: {outcome.data.decode()}")
    answer = _short(outcome.data.decode())
    log(f"Tried on a sample in {(time.monotonic() - began) * 1e3:.1f} ms: the output is {answer}")


def as_batch(sample: Any, input_type: InputType) -> Array:
    """The one input as a container sees a batch of one; bytes are given in base64."""
    if input_type is InputType.STRINGS:
        batch = np.empty(1, dtype=object)
        batch[0] = str(sample)
        return batch
    if input_type is InputType.BYTES:
        return np.frombuffer(bytearray(base64.b64decode(sample)), dtype=np.uint8).reshape(1, -1)
    return np.array([sample], dtype=dtype_of(input_type))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
