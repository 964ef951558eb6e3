"""A link and a waiter that write down what they are told: the ends of the execution layer."""

from __future__ import annotations

from collections.abc import Sequence

from clipper.execution.cache import PredictionCache
from clipper.execution.executor import Executor
from clipper.execution.model import ModelSettings
from clipper.execution.replica import Replica
from clipper.metrics import Metrics
from clipper.rpc.wire import Outcomes
from clipper.types import ModelVersion

SUM = ModelVersion("sum", "1")


class RecordingLink:
    def __init__(self) -> None:
        self.batches: list[tuple[int, list[bytes], int]] = []
        self.request_ids: list[list[str]] = []
        self.closed: str | None = None

    def send_batch(
        self, batch_id: int, inputs: list[bytes], budget_micros: int, request_ids: Sequence[str] = ()
    ) -> None:
        self.batches.append((batch_id, inputs, budget_micros))
        self.request_ids.append(list(request_ids))

    def close(self, reason: str) -> None:
        self.closed = reason


class RecordingWaiter:
    def __init__(self) -> None:
        self.outputs: list[bytes] = []
        self.failures: list[tuple[str, str]] = []

    def output(self, model: ModelVersion, fragment: bytes) -> None:
        self.outputs.append(fragment)

    def failure(self, model: ModelVersion, reason: str, detail: str) -> None:
        self.failures.append((reason, detail))


def settings(registration: int = 1, batch_size: int = -1, slo: float = 0.1) -> ModelSettings:
    return ModelSettings(registration=registration, input_type="doubles", batch_size=batch_size, slo=slo)


class Stage:
    """An executor with one registered model, a virtual clock, and replicas that answer when told to."""

    def __init__(self, *, cache_bytes: int = 1 << 20, queue_limit: int = 1000, batch_size: int = -1) -> None:
        self.now = 100.0
        self.wakes = 0
        self.rings: list[float] = []
        self.metrics = Metrics(lambda: self.now)
        self.executor = Executor(PredictionCache(cache_bytes), queue_limit, self.metrics, self)
        self.executor.configure({SUM: settings(batch_size=batch_size)}, self.now)

    def wake(self) -> None:
        self.wakes += 1

    def ring_at(self, when: float) -> None:
        self.rings.append(when)

    def join(self, replica_id: int = 0, version: ModelVersion = SUM) -> tuple[Replica, RecordingLink]:
        link = RecordingLink()
        replica = Replica(replica_id, "doubles", link)
        self.executor.replica_joined(version, replica, self.now)
        return replica, link

    def submit(self, data: bytes, seconds: float = 0.1, version: ModelVersion = SUM) -> RecordingWaiter:
        waiter = RecordingWaiter()
        self.executor.submit(version, data, self.now + seconds, waiter, self.now)
        return waiter

    def flush(self) -> None:
        self.executor.flush(self.now)

    def answer(
        self, replica: Replica, link: RecordingLink, seconds: float = 0.001, version: ModelVersion = SUM
    ) -> bool:
        """The replica answers its oldest batch: each input with itself, as a JSON string."""
        self.now += seconds
        batch_id = next(iter(replica.outstanding))
        inputs = next(inputs for known, inputs, _ in link.batches if known == batch_id)
        outcomes = Outcomes([b'"%b"' % data for data in inputs])
        return self.executor.batch_answered(version, replica, batch_id, outcomes, self.now)
