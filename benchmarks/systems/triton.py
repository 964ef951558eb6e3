"""Triton: the server that comes inside the nvidia-pytriton wheel, Python backend, dynamic batching. Run as a process.

The wheel brings the server, its Python backend and a stub of it for each version of Python, but expects to start
them itself. Here the server is run directly, as one runs Triton otherwise: the backend is copied with the stub of
this Python beside it, and libpython is put on the path of libraries. The stub reads no PYTHONPATH and would take the
numpy of the base Python, but looks into the working directory first: so that is where this environment's numpy is.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy
import pytriton

from benchmarks.environments import ROOT
from benchmarks.systems import BATCH, port

SERVER = Path(pytriton.__file__).parent / "tritonserver"
LIBRARIES = SERVER.parents[1] / "nvidia_pytriton.libs"
CONFIG = """
name: "bench"
backend: "python"
max_batch_size: {batch}
input [{{ name: "input" data_type: TYPE_FP64 dims: [-1] }}]
output [{{ name: "output" data_type: TYPE_FP64 dims: [1] }}]
dynamic_batching {{}}
instance_group [{{ kind: KIND_CPU count: 1 }}]
"""
MODEL = """
import sys

import numpy as np
import triton_python_backend_utils as triton

sys.path.append({root!r})
from benchmarks.systems import workload


class TritonPythonModel:
    def initialize(self, args):
        self._predict = workload().load()

    def execute(self, requests):
        inputs = [triton.get_input_tensor_by_name(each, "input").as_numpy() for each in requests]
        outputs = iter(self._predict(np.concatenate(inputs)))
        return [self._response([next(outputs) for _ in rows]) for rows in inputs]

    def _response(self, outputs):
        tensor = triton.Tensor("output", np.array(outputs, np.float64).reshape(-1, 1))
        return triton.InferenceResponse([tensor])
"""


def write_repository(folder: Path) -> None:
    (folder / "bench" / "1").mkdir(parents=True)
    (folder / "bench" / "config.pbtxt").write_text(CONFIG.format(batch=BATCH))
    (folder / "bench" / "1" / "model.py").write_text(MODEL.format(root=str(ROOT)))


def copy_backend(folder: Path) -> None:
    """The Python backend, with the stub for this Python."""
    shutil.copytree(SERVER / "backends" / "python", folder / "python")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copy(SERVER / "python_backend_stubs" / version / "triton_python_backend_stub", folder / "python")


def library_path() -> str:
    folders = [sysconfig.get_config_var("LIBDIR"), str(LIBRARIES), os.environ.get("LD_LIBRARY_PATH")]
    return ":".join(filter(None, folders))


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-triton-"))
    write_repository(folder / "models")
    copy_backend(folder / "backends")
    arguments = [
        f"--model-repository={folder / 'models'}",
        f"--backend-directory={folder / 'backends'}",
        "--http-address=127.0.0.1",
        f"--http-port={port()}",
        "--http-thread-count=2",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--log-info=false",
    ]
    server = SERVER / "bin" / "tritonserver"
    os.chdir(Path(numpy.__file__).parents[1])
    os.execve(server, [str(server), *arguments], {**os.environ, "LD_LIBRARY_PATH": library_path()})


if __name__ == "__main__":
    main()
