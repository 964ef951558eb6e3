"""How the systems want one input in a JSON body, and where in the answer they put its output."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Dialect:
    """``encode`` makes the body of one input; ``decode`` takes the output out of an answer's body."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def _in_a_field(value: Any) -> bytes:
    return json.dumps({"input": value}).encode()


def _in_a_batch_of_one(value: Any) -> bytes:
    return json.dumps({"input": [value]}).encode()


def _as_a_tensor(value: Any) -> bytes:
    tensor = {"name": "input", "shape": [1, len(value)], "datatype": "FP64", "data": value}
    return json.dumps({"inputs": [tensor]}).encode()


FIELD = Dialect(_in_a_field, lambda body: json.loads(body)["output"])
BATCH_OF_ONE = Dialect(_in_a_batch_of_one, lambda body: json.loads(body)[0])
OPEN_INFERENCE = Dialect(_as_a_tensor, lambda body: json.loads(body)["outputs"][0]["data"][0])
"""The REST form of the Open Inference Protocol."""
