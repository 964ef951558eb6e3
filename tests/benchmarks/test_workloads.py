"""The models that need no library, the inputs, and how systems are asked."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.dialects import BATCH_OF_ONE, FIELD, OPEN_INFERENCE
from benchmarks.environments import OURS
from benchmarks.load import BODY
from benchmarks.peers import SYSTEMS
from benchmarks.workloads import IMAGE_BYTES, WORKLOADS

PLAIN = [name for name, workload in WORKLOADS.items() if not workload.requirements]


@pytest.mark.parametrize("name", PLAIN)
def test_arrays_and_lists_are_the_same_to_a_model(name: str) -> None:
    workload = WORKLOADS[name]
    value = workload.decode(workload.sample())
    predict = workload.load()
    as_list, as_array = predict([value, value]), predict(np.array([value, value]))
    assert as_list == as_array
    assert len(as_list) == 2
    assert workload.is_right(json.loads(json.dumps(as_list[0])), as_array[0])
    assert not workload.is_right(as_list[0] + 1, as_list[0])
    assert not workload.is_right("-1.0", as_list[0])


def test_inputs_are_as_large_as_they_say() -> None:
    assert WORKLOADS["sum"].load()([WORKLOADS["sum"].sample()]) == [pytest.approx(49.6)]
    assert len(WORKLOADS["no-op-784"].sample()) == 784
    assert len(WORKLOADS["no-op-3072"].sample()) == 3072
    assert len(WORKLOADS["image"].decode(WORKLOADS["image"].sample())) == IMAGE_BYTES
    assert WORKLOADS["no-op-784"].sample() == WORKLOADS["no-op-784"].sample()


def test_dialects() -> None:
    assert json.loads(FIELD.encode([1.5])) == {"input": [1.5]}
    assert FIELD.encode(WORKLOADS["sum"].sample()) == BODY
    assert FIELD.decode(b'{"query_id":1,"output":2,"default":false}') == 2
    assert json.loads(BATCH_OF_ONE.encode([1.5])) == {"input": [[1.5]]}
    assert BATCH_OF_ONE.decode(b"[2]") == 2
    (tensor,) = json.loads(OPEN_INFERENCE.encode([1.5, 2.5]))["inputs"]
    assert tensor == {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [1.5, 2.5]}
    assert OPEN_INFERENCE.decode(b'{"outputs":[{"data":[2.0]}]}') == 2.0


def test_models_are_loaded_where_their_libraries_are() -> None:
    clipper, mosec = SYSTEMS["clipper"], SYSTEMS["mosec"]
    assert clipper.needs("sum") == ()
    assert "torch==2.13.0" in clipper.needs("conv-net")
    assert clipper.needs("conv-net")[0] == OURS
    assert set(mosec.needs("conv-net")) > set(mosec.needs("sum")) == set(mosec.requirements)
