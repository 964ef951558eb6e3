"""LitServe: batches in a worker process, two API servers, the queue over ZeroMQ. Run as a process."""

from __future__ import annotations

from typing import Any

import litserve

from benchmarks.systems import BATCH, port, workload


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self._workload = workload()
        self._predict = self._workload.load()

    def decode_request(self, request) -> Any:  # LitServe takes an annotation for a schema of the body
        return self._workload.decode(request["input"])

    def predict(self, inputs: list[Any]) -> Any:
        return self._predict(inputs)

    def unbatch(self, output: Any) -> Any:
        return list(output)

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"output": output}


if __name__ == "__main__":
    api = Api(max_batch_size=BATCH, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=port(),
        num_api_servers=2,
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )
