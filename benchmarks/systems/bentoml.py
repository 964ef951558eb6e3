"""BentoML: a service with a batchable API. Run as a process."""

from __future__ import annotations

import os
import sys
from typing import Any

import bentoml

from benchmarks.systems import BATCH, port, workload


@bentoml.service(workers=2, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Model:
    def __init__(self) -> None:
        self._workload = workload()
        self._predict = self._workload.load()

    @bentoml.api(batchable=True, max_batch_size=BATCH)
    def predict(self, input: list[Any]) -> list[Any]:  # noqa: A002
        return list(self._predict([self._workload.decode(each) for each in input]))


if __name__ == "__main__":
    bound = ["--host", "127.0.0.1", "--port", str(port())]
    arguments = ["-m", "bentoml", "serve", "benchmarks.systems.bentoml:Model", *bound]
    os.execv(sys.executable, [sys.executable, *arguments])
