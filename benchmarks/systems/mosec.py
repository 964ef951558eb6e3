"""mosec: its Rust front and Python workers with dynamic batching, as in its examples. Run as a process."""

from __future__ import annotations

import os
import sys
from typing import Any

from mosec import Server, Worker

from benchmarks.systems import BATCH, port, workload

WAIT_MILLISECONDS = 1
"""How long a batch waits for more. The least it takes: the default of 10 makes few connections wait for nothing."""


class Model(Worker):
    def __init__(self) -> None:
        self._workload = workload()
        self._predict = self._workload.load()

    def deserialize(self, data: bytes) -> Any:
        return self._workload.decode(super().deserialize(data)["input"])

    def forward(self, data: list[Any]) -> list[dict[str, Any]]:
        return [{"output": output} for output in self._predict(data)]


if __name__ == "__main__":
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", str(port()), "--log-level", "error"]
    server = Server()
    workers = int(os.environ.get("BENCH_WORKERS", "1"))
    server.append_worker(Model, num=workers, max_batch_size=BATCH, max_wait_time=WAIT_MILLISECONDS)
    server.run()
