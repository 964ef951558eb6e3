"""One model version as the execution layer knows it."""

from __future__ import annotations

from dataclasses import dataclass

from clipper.execution.flight import Flight
from clipper.execution.queue import DeadlineQueue
from clipper.execution.replica import Replica
from clipper.metrics import ModelMetrics
from clipper.types import ModelVersion


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What the registry says of a model version; ``slo`` is the shortest of its applications, in seconds."""

    registration: int
    input_type: str
    batch_size: int
    slo: float


class ModelState:
    """One model version: its queue, its replicas, and its flights by input."""

    __slots__ = ("flights", "metrics", "queue", "rate", "replicas", "settings", "version")

    def __init__(self, version: ModelVersion, metrics: ModelMetrics) -> None:
        self.version = version
        self.settings: ModelSettings | None = None
        self.queue = DeadlineQueue()
        self.replicas: list[Replica] = []
        self.flights: dict[bytes, Flight] = {}
        self.rate = float("inf")
        self.metrics = metrics
        metrics.queue_depth = self.queue.__len__
        metrics.in_flight = self.outstanding
        metrics.replicas = self.replicas.__len__

    def outstanding(self) -> int:
        return sum(len(batch.flights) for replica in self.replicas for batch in replica.outstanding.values())

    def tune(self, replica: Replica) -> None:
        if self.settings is not None:
            replica.tune(self.settings.batch_size, self.settings.slo)

    def predicted_wait(self) -> float:
        """Seconds until a query that comes now is answered, from the learned speed of the replicas.

        What they work on counts in full: better to refuse one too many at once than to have each answered too late.
        """
        return (len(self.queue) + self.outstanding() + 1) / self.rate if self.rate > 0 else 0.0

    def measure(self) -> None:
        self.rate = sum(replica.rate for replica in self.replicas if not replica.draining)

    def forget(self, flight: Flight) -> None:
        if self.flights.get(flight.input) is flight:
            del self.flights[flight.input]
