"""The engine of ``benchmarks/simulate.py``: the real executor and made-up containers on a virtual clock."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clipper.execution.batching import BatchSizer
from clipper.execution.cache import PredictionCache
from clipper.execution.executor import Executor
from clipper.execution.model import ModelSettings
from clipper.execution.replica import Replica
from clipper.metrics import Metrics
from clipper.rpc.wire import Outcomes
from clipper.types import ModelVersion

MODEL = ModelVersion("simulated", "1")
WIRE = 50e-6
"""Seconds that a batch, and its answer, spend between the frontend and the container."""
HICCUP = 10.0

Drift = Callable[[float], float]


def steady(now: float) -> float:
    return 1.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a batch of n queries takes: ``intercept + slope * n`` seconds, times noise (lognormal) and drift.

    ``hiccups``: the share of batches that take ten times as long.
    """

    intercept: float
    slope: float
    noise: float = 0.02
    hiccups: float = 0.0
    drift: Drift = steady

    def fits(self, seconds: float) -> int:
        """The largest batch that takes at most ``seconds`` when nothing disturbs it; at least one."""
        return max(1, int((seconds - self.intercept) / self.slope))

    def capacity(self, seconds: float) -> float:
        """Queries a second in batches that take ``seconds``."""
        size = self.fits(seconds)
        return size / (self.intercept + self.slope * size)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Containers and load. ``rate``: queries a second; what happens before ``warm_up`` seconds is not counted."""

    name: str
    costs: tuple[Cost, ...]
    rate: float
    slo: float = 0.020
    seconds: float = 3.0
    warm_up: float = 1.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the queries that were asked after the warm-up. Times in seconds, rates a second.

    ``busy``: the share of the time that a container worked; ``size``: the bound of the first container in the end.
    """

    offered: float
    goodput: float
    p50: float
    p99: float
    reasons: dict[str, float]
    mean_batch: float
    batches: int
    busy: float
    size: int

    @property
    def defaults(self) -> float:
        """The share of queries that got the default output."""
        return sum(self.reasons.values())


class Query:
    """Waits for one output, and knows when it was asked for."""

    __slots__ = ("asked", "world")

    def __init__(self, world: World, asked: float) -> None:
        self.world = world
        self.asked = asked

    def output(self, model: ModelVersion, fragment: bytes) -> None:
        self.world.latencies.append((self.asked, self.world.now - self.asked))

    def failure(self, model: ModelVersion, reason: str, detail: str) -> None:
        self.world.failures.append((self.asked, reason))


class Container:
    """A link whose other end works on the batches it was sent, one after another."""

    def __init__(self, world: World, number: int, cost: Cost) -> None:
        self.world = world
        self.cost = cost
        self.random = np.random.default_rng((world.scenario.seed, number))
        self.replica = Replica(number, "doubles", self)
        self.sent: deque[tuple[int, int]] = deque()
        self.sizes: list[tuple[float, int]] = []
        self.worked = 0.0

    def send_batch(
        self, batch_id: int, inputs: list[bytes], budget_micros: int, request_ids: Sequence[str] = ()
    ) -> None:
        self.sent.append((batch_id, len(inputs)))
        self.sizes.append((self.world.now, len(inputs)))
        if len(self.sent) == 1:
            self.world.after(WIRE, self._work)

    def close(self, reason: str) -> None:
        raise RuntimeError(reason)

    def _work(self) -> None:
        seconds = self._seconds(self.sent[0][1])
        self.worked += seconds if self.world.counts else 0.0
        self.world.after(seconds, lambda: self._done(seconds))

    def _seconds(self, size: int) -> float:
        cost = self.cost
        seconds = (cost.intercept + cost.slope * size) * cost.drift(self.world.now)
        seconds *= math.exp(cost.noise * self.random.standard_normal())
        return seconds * HICCUP if self.random.random() < cost.hiccups else seconds

    def _done(self, seconds: float) -> None:
        batch_id, size = self.sent.popleft()
        outcomes = Outcomes([b"1"] * size)
        self.world.after(WIRE, lambda: self.world.answered(self.replica, batch_id, outcomes, seconds))
        if self.sent:
            self._work()


class World:
    """The executor, its containers, and the clock: a heap of what happens next."""

    def __init__(self, scenario: Scenario, batching: str, batch_size: int, delay_micros: int) -> None:
        self.scenario = scenario
        self.now = 0.0
        self.latencies: list[tuple[float, float]] = []
        self.failures: list[tuple[float, str]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._woken = False
        self.executor = Executor(PredictionCache(0), 100_000, Metrics(lambda: self.now), self)
        settings = ModelSettings(1, "doubles", batch_size, scenario.slo, batching, delay_micros)
        self.executor.configure({MODEL: settings}, self.now)
        self.containers = [Container(self, number, cost) for number, cost in enumerate(scenario.costs)]

    def wake(self) -> None:
        self._woken = True

    def ring_at(self, when: float) -> None:
        self.after(max(0.0, when - self.now), lambda: self.executor.ring(self.now))

    @property
    def counts(self) -> bool:
        """Whether what happens now belongs into the report."""
        return self.scenario.warm_up <= self.now < self.scenario.seconds

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), action))

    def answered(self, replica: Replica, batch_id: int, outcomes: Outcomes, seconds: float) -> None:
        if not self.executor.batch_answered(MODEL, replica, batch_id, outcomes, self.now, seconds):
            raise RuntimeError(f"batch {batch_id} was not expected")

    def play(self) -> None:
        """Lets the load come and go, and a bit more until the last query is answered."""
        for container in self.containers:
            self.executor.replica_joined(MODEL, container.replica, self.now)
        for arrival in self._arrivals():
            self._run_until(arrival)
            self.now = arrival
            query = Query(self, arrival)
            self.executor.submit(MODEL, b"", arrival + self.scenario.slo, query, arrival)
            if self._woken:
                self._flush()
        self._run_until(self.scenario.seconds + 10.0)

    def _arrivals(self) -> list[float]:
        scenario = self.scenario
        count = int(scenario.rate * scenario.seconds * 1.1) + 100
        gaps = np.random.default_rng(scenario.seed).exponential(1 / scenario.rate, count)
        times = np.cumsum(gaps)
        return list(times[times < scenario.seconds].tolist())

    def _run_until(self, end: float) -> None:
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
            if self._woken:
                self._flush()

    def _flush(self) -> None:
        self._woken = False
        self.executor.flush(self.now)


def run(
    scenario: Scenario,
    batching: str = "aimd",
    batch_size: int = -1,
    *,
    delay_micros: int = 0,
    sizer: Callable[[float], BatchSizer] | None = None,
) -> Report:
    """Plays a scenario. ``batching``, ``batch_size`` and ``delay_micros`` are those of a registered model.

    ``sizer`` (objective in seconds -> sizer) stands in for what ``batching`` names: to try one that has no name yet.
    """
    world = World(scenario, batching, batch_size, delay_micros)
    world.play()
    return report(world)


def report(world: World) -> Report:
    """What the queries that came after the warm-up heard, and the batches that were sent then."""
    scenario = world.scenario
    seconds = scenario.seconds - scenario.warm_up
    heard = np.array([latency for asked, latency in world.latencies if asked >= scenario.warm_up] or [math.nan])
    reasons = Counter(reason for asked, reason in world.failures if asked >= scenario.warm_up)
    late = int((heard > scenario.slo).sum())
    if late:
        reasons["deadline"] += late
    offered = int(np.isfinite(heard).sum()) + sum(reasons.values()) - late
    sizes = [size for each in world.containers for sent, size in each.sizes if sent >= scenario.warm_up]
    return Report(
        offered=offered / seconds,
        goodput=(int(np.isfinite(heard).sum()) - late) / seconds,
        p50=float(np.quantile(heard, 0.5)),
        p99=float(np.quantile(heard, 0.99)),
        reasons={reason: count / offered for reason, count in reasons.most_common()},
        mean_batch=float(np.mean(sizes)) if sizes else math.nan,
        batches=len(sizes),
        busy=sum(each.worked for each in world.containers) / (seconds * len(world.containers)),
        size=world.containers[0].replica.sizer.size(),
    )
