"""Ray Serve: its HTTP proxy and one replica with ``@serve.batch``. Run as a process."""

from __future__ import annotations

import signal
import sys
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from benchmarks.systems import BATCH, port, workload


@serve.deployment(max_ongoing_requests=1024, ray_actor_options={"num_cpus": 1})
class Model:
    def __init__(self) -> None:
        self._workload = workload()
        self._predict = self._workload.load()

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=0.001)
    async def batched(self, inputs: list[Any]) -> list[Any]:
        return list(self._predict(inputs))

    async def __call__(self, request: Request) -> dict[str, Any]:
        value = self._workload.decode((await request.json())["input"])
        return {"output": await self.batched(value)}


def main() -> None:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port()}, logging_config={"enable_access_log": False})
    serve.run(Model.bind(), route_prefix="/predict")
    try:
        signal.pause()
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main()
