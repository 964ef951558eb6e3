"""What a query frontend counts.

Recording is an attribute's increment or one short call, on an object that is looked up once per application or
model version and kept. These objects belong to one event loop and take no locks. ``Metrics.snapshot`` turns all of
them into one value that can travel, be added to those of other frontends, and be rendered.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from clipper.histogram import Histogram
from clipper.snapshot import AppSnapshot, ModelSnapshot, ProcessSnapshot, Rates, Snapshot, merge_models

DEFAULT_REASONS: Final = ("deadline", "no_model", "no_replica", "model_error", "overload", "low_confidence")
FEEDBACK_RESULTS: Final = ("accepted", "duplicate", "refused")
STATUS_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")

FIRST_RATE: Final = 5.0
"""Seconds until a meter tells moving averages: the original's first tick."""
WINDOWS: Final = (60.0, 300.0, 900.0)

Clock = Callable[[], float]
Gauge = Callable[[], int]


def zero() -> int:
    """A gauge that nobody has set."""
    return 0


class Meter:
    """The rate of a count, worked out when it is read: nothing ticks.

    The original ticks every 5 s and moves each average by ``1 - exp(-5 / window)`` of the way to that tick's rate
    ``r``. So ``n`` ticks of one rate leave ``r + (average - r) * exp(-5 n / window)``. Here ``5 n`` is the time since
    the last reading and ``r`` the mean rate in it: the same as ticking, at every tick, if events come evenly between
    readings. Averages start as the mean rate at the first reading after ``FIRST_RATE`` seconds. Those of several
    meters that are read together add up to that of their sum.
    """

    __slots__ = ("_count", "_moving", "_read_at", "_started")

    def __init__(self, now: float) -> None:
        self._started = self._read_at = now
        self._count = 0
        self._moving: tuple[float, float, float] | None = None

    def read(self, count: int, now: float) -> Rates:
        """The rates at ``now`` (seconds), when ``count`` events have been since the meter was made."""
        age = now - self._started
        if age <= 0.0:
            return Rates()
        if age >= FIRST_RATE and now > self._read_at:
            self._advance(count, now)
        return Rates(count / age, self._moving)

    def _advance(self, count: int, now: float) -> None:
        elapsed = now - self._read_at
        rate = (count - self._count) / elapsed
        one, five, fifteen = (
            rate + (average - rate) * math.exp(-elapsed / window)
            for average, window in zip(self._moving or (rate, rate, rate), WINDOWS, strict=True)
        )
        self._moving = one, five, fifteen
        self._count, self._read_at = count, now


class AppMetrics:
    """One application. ``errors`` counts requests that got an error instead of a prediction or the default output,
    ``cancelled`` queries whose client left before the answer; ``weights`` is a gauge: how far models are trusted."""

    __slots__ = ("_throughput", "cancelled", "defaults", "errors", "feedback", "latency", "ok", "weights")

    def __init__(self, now: float = 0.0) -> None:
        self.ok = self.errors = self.cancelled = 0
        self.defaults = dict.fromkeys(DEFAULT_REASONS, 0)
        self.feedback = dict.fromkeys(FEEDBACK_RESULTS, 0)
        self.latency = Histogram("seconds")
        self.weights: Callable[[], dict[str, float]] = dict
        self._throughput = Meter(now)

    def answered(self, seconds: float) -> None:
        """A query got the models' output, ``seconds`` after its arrival."""
        self.ok += 1
        self.latency.record(seconds)

    def defaulted(self, reason: str, seconds: float) -> None:
        """A query got the default output for one of ``DEFAULT_REASONS`` (else KeyError)."""
        self.defaults[reason] += 1
        self.latency.record(seconds)

    def snapshot(self, now: float, frontend: str = "") -> AppSnapshot:
        return AppSnapshot(
            ok=self.ok,
            errors=self.errors,
            cancelled=self.cancelled,
            defaults=dict(self.defaults),
            feedback=dict(self.feedback),
            weights={frontend: self.weights()},
            latency=self.latency.snapshot(),
            throughput=self._throughput.read(self.ok + sum(self.defaults.values()), now),
        )


class ModelMetrics:
    """One model version. ``queue_depth``, ``in_flight`` and ``replicas`` are gauges: their owners set them.

    ``predictions`` are queries that came back in a batch, ``errors`` those of them that the model failed;
    ``latency`` counts a batch's once for each of its queries, so that waiting + latency is what a query sees.
    """

    __slots__ = (
        "_throughput",
        "batch_size",
        "batches",
        "errors",
        "hedged",
        "hits",
        "in_flight",
        "latency",
        "misses",
        "predictions",
        "queue_depth",
        "queue_wait",
        "redispatched",
        "replicas",
    )

    def __init__(self, now: float = 0.0) -> None:
        self.predictions = self.batches = self.errors = self.redispatched = self.hedged = 0
        self.hits = self.misses = 0
        self.queue_depth: Gauge = zero
        self.in_flight: Gauge = zero
        self.replicas: Gauge = zero
        self.batch_size = Histogram("queries")
        self.latency = Histogram("seconds")
        self.queue_wait = Histogram("seconds")
        self._throughput = Meter(now)

    def batch_done(self, size: int, seconds: float) -> None:
        """A batch of ``size`` queries was answered ``seconds`` after it was sent; counts ``predictions`` too."""
        self.batches += 1
        self.predictions += size
        self.batch_size.record(size)
        self.latency.record_times(seconds, size)

    def waited(self, seconds: Sequence[float]) -> None:
        """Queries left the queue, so many seconds after they entered it."""
        self.queue_wait.record_all(seconds)

    def snapshot(self, now: float, frontend: str) -> ModelSnapshot:
        return ModelSnapshot(
            predictions=self.predictions,
            batches=self.batches,
            errors=self.errors,
            redispatched=self.redispatched,
            hedged=self.hedged,
            hits=self.hits,
            misses=self.misses,
            queue_depth=self.queue_depth(),
            in_flight=self.in_flight(),
            replicas={frontend: self.replicas()},
            batch_size=self.batch_size.snapshot(),
            latency=self.latency.snapshot(),
            queue_wait=self.queue_wait.snapshot(),
            throughput=self._throughput.read(self.predictions, now),
        )


class ProcessMetrics:
    """The frontend process. ``cache_bytes``, ``cache_entries`` and ``store_up`` (1 or 0) are gauges;
    ``decisions_dropped`` tells how many decisions the journal did not take before there were too many.

    ``statuses`` counts the HTTP responses by their status, 100 to 599.
    """

    __slots__ = ("cache_bytes", "cache_entries", "decisions_dropped", "statuses", "store_up")

    def __init__(self) -> None:
        self.statuses = defaultdict[int, int](int)
        self.cache_bytes: Gauge = zero
        self.cache_entries: Gauge = zero
        self.store_up: Gauge = zero
        self.decisions_dropped: Gauge = zero

    def responses(self) -> dict[str, int]:
        """HTTP responses by the class of their status."""
        counts = dict.fromkeys(STATUS_CLASSES, 0)
        for status, count in self.statuses.items():
            counts[STATUS_CLASSES[status // 100 - 1]] += count
        return counts


class Metrics:
    """All metrics of one frontend process, which is called ``frontend`` and runs this ``version`` of Clipper.

    ``clock`` tells seconds that never go back. It is read when an application or model version is first named and
    when a snapshot is taken, never when something is recorded.
    """

    def __init__(self, clock: Clock, frontend: str = "frontend-0", version: str = "unknown") -> None:
        self.process = ProcessMetrics()
        self._clock = clock
        self._frontend = frontend
        self._version = version
        self._apps: dict[str, AppMetrics] = {}
        self._models: dict[tuple[str, str], ModelMetrics] = {}
        self._forgotten = ModelSnapshot()
        self._throughput = Meter(clock())

    def app(self, name: str) -> AppMetrics:
        """The application's metrics, made when first asked for. Keep them."""
        found = self._apps.get(name)
        if found is None:
            found = self._apps[name] = AppMetrics(self._clock())
        return found

    def model(self, name: str, version: str) -> ModelMetrics:
        """The model version's metrics, made when first asked for. Keep them."""
        found = self._models.get((name, version))
        if found is None:
            found = self._models[name, version] = ModelMetrics(self._clock())
        return found

    def forget_app(self, name: str) -> None:
        """Stops telling of an application; what is recorded from now on for the old object is lost."""
        self._apps.pop(name, None)

    def forget_model(self, name: str, version: str) -> None:
        """Stops telling of a model version, but for its share in the counts over all models."""
        gone = self._models.pop((name, version), None)
        if gone is not None:
            last = gone.snapshot(self._clock(), self._frontend)
            counts = replace(last, queue_depth=0, in_flight=0, replicas={}, throughput=Rates())
            self._forgotten = merge_models((self._forgotten, counts))

    def snapshot(self) -> Snapshot:
        now = self._clock()
        models: dict[str, dict[str, ModelSnapshot]] = {}
        for (name, version), metrics in self._models.items():
            models.setdefault(name, {})[version] = metrics.snapshot(now, self._frontend)
        every = merge_models((self._forgotten, *(each for versions in models.values() for each in versions.values())))
        return Snapshot(
            process=self._process(),
            apps={name: metrics.snapshot(now, self._frontend) for name, metrics in self._apps.items()},
            models=models,
            all_models=replace(every, throughput=self._throughput.read(every.predictions, now)),
        )

    def _process(self) -> ProcessSnapshot:
        return ProcessSnapshot(
            up=1,
            storeless=0 if self.process.store_up() else 1,
            versions=frozenset((self._version,)),
            responses=self.process.responses(),
            cache_bytes=self.process.cache_bytes(),
            cache_entries=self.process.cache_entries(),
            decisions_dropped=self.process.decisions_dropped(),
        )
