"""The note beside a model, and what a process makes of it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from clipper.container.load import load_model
from clipper.container.manifest import FILE, Manifest, read_manifest, take_place
from clipper.container.outputs import OutputError
from clipper.container.sample import as_batch, try_sample
from clipper.rpc.wire import InputType
from clipper_admin.deployers.closure import save_function


def test_without_a_note_it_is_a_plain_function(tmp_path):
    assert read_manifest(tmp_path) == Manifest()


def test_a_note_is_read_as_it_was_written(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"framework": "sklearn", "gpus": ["0", "1"], "threads": 3}))
    assert read_manifest(tmp_path) == Manifest("sklearn", gpus=("0", "1"), threads=3)


@pytest.mark.parametrize("text", ["{", "[]", '{"unknown": 1}', "null"])
def test_a_note_that_can_not_be_read_says_what_to_do(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=r"model\.json can't be read .*deploy the model again"):
        read_manifest(tmp_path)


def test_threads_are_those_of_the_note_unless_the_environment_says_otherwise():
    environ = {"OMP_NUM_THREADS": "7"}
    take_place(Manifest(threads=2), None, environ)
    assert environ["OMP_NUM_THREADS"] == "7"
    assert environ["OPENBLAS_NUM_THREADS"] == "2"


def test_replicas_take_devices_in_turns():
    taken = []
    for replica in range(3):
        environ = {}
        take_place(Manifest(gpus=("2", "5")), replica, environ)
        taken.append(environ["CUDA_VISIBLE_DEVICES"])
    assert taken == ["2", "5", "2"]


def test_memory_is_limited():
    code = (
        "import os; from clipper.container.manifest import Manifest, take_place\n"
        "take_place(Manifest(memory_bytes=300_000_000), 0, os.environ)\n"
        "try: bytearray(400_000_000)\n"
        "except MemoryError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "refused"
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] != 300_000_000


def test_a_function_of_one_input_answers_batches(tmp_path):
    save_function(lambda x: float(x.sum()), tmp_path)
    (tmp_path / FILE).write_text(json.dumps({"per_item": True}))
    function = load_model(tmp_path, read_manifest(tmp_path))
    assert function(np.array([[1.0, 2.0], [3.0, 4.0]])) == [3.0, 7.0]


@pytest.mark.parametrize(
    ("sample", "input_type", "shape"),
    [
        ([1.0, 2.0], InputType.DOUBLES, (1, 2)),
        ([1, 2, 3], InputType.INTEGERS, (1, 3)),
        ("YWJj", InputType.BYTES, (1, 3)),
        ("text", InputType.STRINGS, (1,)),
    ],
)
def test_a_sample_is_seen_as_a_query_is(sample, input_type, shape):
    assert as_batch(sample, input_type).shape == shape


def test_a_sample_must_be_answered():
    try_sample(lambda xs: [xs.sum()], [1.0], InputType.DOUBLES)
    with pytest.raises(OutputError, match="Expected model to return 1 outputs, found 2"):
        try_sample(lambda xs: [1, 2], [1.0], InputType.DOUBLES)
    with pytest.raises(ValueError, match=r"for the sample \[1.0\]: the model returned None"):
        try_sample(lambda xs: [None], [1.0], InputType.DOUBLES)


def test_a_command_takes_the_place_of_the_container(tmp_path):
    note = {"command": [sys.executable, "-c", "import os; print(os.environ['CLIPPER_ADDRESS'])"], "needs_tcp": True}
    (tmp_path / FILE).write_text(json.dumps(note))
    done = run_container(tmp_path, CLIPPER_TCP_ADDRESS="tcp:127.0.0.1:9")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "tcp:127.0.0.1:9")


def test_a_command_that_is_not_there_is_named(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"command": ["no-such-program"]}))
    done = run_container(tmp_path)
    assert done.returncode == 1
    assert "no-such-program can't be run (No such file or directory): install it" in done.stdout + done.stderr


def run_container(directory, **environ):
    environ |= {"CLIPPER_MODEL_NAME": "m", "CLIPPER_MODEL_VERSION": "1", "CLIPPER_MODEL_PATH": str(directory)}
    return subprocess.run(
        [sys.executable, "-m", "clipper.container"], env={**os.environ, **environ}, capture_output=True, text=True
    )
