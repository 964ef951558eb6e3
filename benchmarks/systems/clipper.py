"""Clipper: one query frontend (or ``BENCH_FRONTENDS``), one replica, batches learned, cache off. Run as a process."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.systems import port, workload
from benchmarks.workloads import WORKLOADS
from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as python_deployer

ROOT = Path(__file__).parents[2]


def model(name: str, root: str) -> Callable[[Any], Any]:
    """The workload's model, loaded where and when it is first called."""
    loaded: list[Any] = []

    def predict(inputs: Any) -> Any:
        if not loaded:
            sys.path.insert(0, root)
            loaded.append(WORKLOADS[name].load())
        return loaded[0](inputs)

    return predict


def main() -> None:
    serving = workload()
    with tempfile.TemporaryDirectory() as home:
        connection = ClipperConnection(LocalContainerManager("bench", port(), 0, 0, home=home))
        frontends = int(os.environ.get("BENCH_FRONTENDS", "1"))
        connection.start_clipper(cache_size=0, num_frontend_replicas=frontends)
        try:
            slo_micros = int(os.environ.get("BENCH_SLO_MICROS", serving.slo_micros))
            connection.register_application("bench", serving.input_type, "-1.0", slo_micros)
            predict = model(serving.name, str(ROOT))
            python_deployer.deploy_python_closure(connection, "bench-model", 1, serving.input_type, predict)
            connection.link_model_to_app("bench", "bench-model")
            signal.pause()
        finally:
            connection.stop_all()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main()
