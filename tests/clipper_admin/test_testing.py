"""What users test their models with."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from clipper_admin import ClipperException
from clipper_admin.deployers.python import deploy_python_closure
from clipper_admin.testing import clipper_cluster, run_as_container

__all__ = ["clipper_cluster"]


def test_a_function_sees_a_batch_and_answers_json():
    assert run_as_container(lambda xs: xs.sum(axis=1), [[1.0, 2.0], [3.0, 4.0]], "doubles") == [3.0, 7.0]
    assert run_as_container(lambda xs: [each.upper() for each in xs], ["a", "b"], "strings") == ["A", "B"]
    assert run_as_container(lambda xs: [{"n": np.float32(1)} for _ in xs], [[1]], "integers") == [{"n": 1.0}]


def test_a_function_of_one_input():
    assert run_as_container(lambda x: float(x.max()), [[1.0, 2.0], [5.0]], "floats", per_item=True) == [2.0, 5.0]


@pytest.mark.parametrize(
    ("func", "inputs", "says"),
    [
        (lambda xs: [1], [[1.0], [2.0]], "Expected model to return 2 outputs, found 1 outputs"),
        (lambda xs: [None], [[1.0]], "For input 0: the model returned None"),
        (lambda xs: xs, ["text"], "An input is not of the type doubles"),
        (lambda: 1, [[1.0]], "can't be called with one argument"),
    ],
)
def test_what_a_container_would_refuse(func, inputs, says):
    with pytest.raises(ClipperException, match=says):
        run_as_container(func, inputs, "doubles")


@pytest.mark.cluster
def test_the_fixture_is_a_running_cluster(clipper_cluster):
    clipper_cluster.register_application("sums", "doubles", "-1", 10_000_000)
    deploy_python_closure(
        clipper_cluster, "sums", 1, "doubles", lambda x: float(x.sum()), per_item=True, sample=[1.0], threads=2
    )
    clipper_cluster.link_model_to_app("sums", "sums")
    assert clipper_cluster.predict("sums", [1.0, 2.0])["output"] == 3.0


def test_running_a_function_needs_no_pytest():
    program = (
        "import sys; sys.modules['pytest'] = None; from clipper_admin.testing import run_as_container; "
        "print(run_as_container(lambda xs: [x.sum() for x in xs], [[1.0, 2.0]], 'doubles'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[3.0]\n"
