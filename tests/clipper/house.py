"""A frontend without its sockets: a real executor, processor and journal, on a virtual clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import msgspec

from clipper.catalog import AppView, Catalog
from clipper.decisions import Decisions
from clipper.errors import ClipperError, StoreError
from clipper.execution.cache import PredictionCache
from clipper.execution.executor import Executor
from clipper.execution.replica import Replica
from clipper.feedback import FeedbackAnswer, FeedbackRequest
from clipper.lane import OpenQuery
from clipper.metrics import Metrics
from clipper.prediction import Prediction
from clipper.processor import Processor
from clipper.query_ids import QueryIds
from clipper.rpc.wire import Outcome
from clipper.selection.states import States
from clipper.store.journal import DecisionRecord, Feedback, StateKey
from clipper.store.sqlite_journal import SqliteJournal
from clipper.types import Application, Model, ModelVersion, Registry
from clipper.updater import Updater
from tests.clipper.execution.fakes import RecordingLink
from tests.outcomes import together

V1, V2 = ModelVersion("m", "1"), ModelVersion("m", "2")


class VirtualClock:
    def __init__(self) -> None:
        self.now = 50.0
        self.timers: list[tuple[float, int, Callable[[], object]]] = []
        self.set_timers = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> None:
        self.set_timers += 1
        heapq.heappush(self.timers, (when, self.set_timers, callback))

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers and self.timers[0][0] <= end:
            self.now, _, callback = heapq.heappop(self.timers)
            callback()
        self.now = end


def registry(**changes: object) -> Registry:
    app = Application(name="app", input_type="doubles", default_output="-1.0", latency_slo_micros=100_000)
    known = Registry(
        applications={"app": app},
        models={
            V1: Model(name="m", version="1", input_type="doubles", registration=1),
            V2: Model(name="m", version="2", input_type="doubles", registration=2),
        },
        current_versions={"m": "1"},
        links={"app": ("m",)},
    )
    return msgspec.structs.replace(known, **changes)


class VirtualDesk:
    """The journal's side of a frontend, that works when it is told to. ``fails`` is what it answers for a while."""

    def __init__(self) -> None:
        self.journal = SqliteJournal(":memory:", clock=lambda: WALL)
        self.work: list[Callable[[], None]] = []
        self.fails: StoreError | None = None
        self.states = States(self._load)

    def accept(self, feedback: Feedback, then: Callable[[bool | StoreError], None]) -> None:
        self.work.append(lambda: self._write(feedback, then))

    def recall(
        self, query_id: int, then: Callable[[DecisionRecord | StoreError | None], None], patiently: bool
    ) -> None:
        self.work.append(lambda: then(self.fails or self.journal.recall(query_id)))

    def _load(self, key: StateKey) -> None:
        self.work.append(lambda: self.states.loaded(key, self.journal.load((key,)).get(key)))

    def _write(self, feedback: Feedback, then: Callable[[bool | StoreError], None]) -> None:
        if self.fails is not None:
            then(self.fails)
            return
        (outcome,) = self.journal.append([feedback])
        self.learn()
        then(outcome)

    def learn(self) -> None:
        for entry in self.journal.read(self.states.position, 1000):
            self.states.apply(entry)

    def settle(self) -> None:
        while self.work:
            self.work.pop(0)()


WALL = 1_700_000_000.0


class House:
    def __init__(self, known: Registry, desk: VirtualDesk | None = None) -> None:
        self.clock = VirtualClock()
        self.metrics = Metrics(self.clock.time)
        self.executor = Executor(PredictionCache(1 << 20), 1000, self.metrics, self)
        ids = QueryIds(lambda then: None, 0)
        self.desk = desk or VirtualDesk()
        self.decisions = Decisions(lambda: None, lambda: WALL)
        states = self.desk.states
        self.processor = Processor(Catalog(), self.executor, ids, self.clock, self.metrics, states, self.decisions)
        self.updater = Updater(self.processor, self.decisions, self.desk, lambda: WALL)
        self.processor.apply(known)
        self.answers: list[Prediction] = []

    def wake(self) -> None: ...

    def ring_at(self, when: float) -> None:
        self.clock.call_at(when, lambda: self.executor.ring(self.clock.now))

    def join(self, version: ModelVersion = V1, replica_id: int = 0) -> tuple[Replica, RecordingLink]:
        link = RecordingLink()
        replica = Replica(replica_id, "doubles", link)
        self.executor.replica_joined(version, replica, self.clock.now)
        return replica, link

    @property
    def app(self) -> AppView:
        return self.processor.catalog.apps["app"]

    def predict(
        self, data: bytes = b"x", models: tuple[ModelVersion, ...] | None = None, user: str = ""
    ) -> OpenQuery:
        query = self.processor.predict(self.app, data, self.answers.append, self.clock.now, models, user)
        self.executor.flush(self.clock.now)
        return query

    def answer(self, replica: Replica, outcome: Outcome, version: ModelVersion = V1) -> None:
        batch_id = next(iter(replica.outstanding))
        assert self.executor.batch_answered(version, replica, batch_id, together(outcome), self.clock.now)

    def update(
        self,
        query_id: int | None = None,
        label: object = None,
        loss: float | dict[str, float] | None = None,
        data: bytes | None = None,
        user: str = "",
    ) -> list[FeedbackAnswer | ClipperError]:
        """What was answered by the time that the journal has worked."""
        answers: list[FeedbackAnswer | ClipperError] = []
        self.updater.update(self.app, FeedbackRequest(label, loss, query_id, data, user), answers.append)
        self.executor.flush(self.clock.now)
        self.desk.settle()
        return answers
