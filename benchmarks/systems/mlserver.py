"""MLServer: a custom runtime with adaptive batching on, called in the server's own process. Run as a process."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from numpy import asarray

from benchmarks.systems import BATCH, port, workload


class Model(MLModel):
    async def load(self) -> bool:
        self._predict = workload().load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        (tensor,) = payload.inputs
        outputs = asarray(self._predict(NumpyCodec.decode_input(tensor)))
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("output", outputs.reshape(-1, 1))]
        )


SETTINGS = {"host": "127.0.0.1", "http_port": port(), "parallel_workers": 0, "metrics_endpoint": None, "debug": False}
MODEL = {
    "name": "bench",
    "implementation": "benchmarks.systems.mlserver.Model",
    "max_batch_size": BATCH,
    "max_batch_time": 0.001,
}

if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="bench-mlserver-"))
    (folder / "settings.json").write_text(json.dumps(SETTINGS))
    (folder / "model-settings.json").write_text(json.dumps(MODEL))
    os.execv(sys.executable, [sys.executable, "-c", "from mlserver.cli import main; main()", "start", str(folder)])
