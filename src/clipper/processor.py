"""The verbs of the system. A query is answered once: by its models, or at its deadline, with the reason why."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from clipper.catalog import AppView, Catalog
from clipper.execution.executor import Executor
from clipper.metrics import AppMetrics, Metrics
from clipper.selection.policy import Choice
from clipper.types import ModelVersion, Registry

log = logging.getLogger(__name__)

NO_MODELS = "No connected models found for query"
TOO_LATE = "Failed to retrieve a prediction response within the specified latency SLO"
EXPLANATIONS = {"no_model": NO_MODELS, "no_replica": NO_MODELS, "deadline": TOO_LATE}


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """An answer. ``output`` is a JSON text; ``reason`` and ``explanation`` are set if it is the default output."""

    query_id: int
    output: bytes
    reason: str | None = None
    explanation: str = ""


LOG_INTERVAL = 1.0
"""Seconds in which an application's defaults are logged once; the metrics count each."""

TIMER_SLACK = 0.0005
"""The event loop's timers tick in milliseconds: a query due within half of one is due."""

Answer = Callable[[Prediction], None]


class Clock(Protocol):
    """The event loop, as far as deadlines need it."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> object: ...


class Query:
    """A question under way: whom it asked, what came, until when it waits."""

    __slots__ = ("_failure", "_lane", "_missing", "_outputs", "answer", "app", "arrived", "data", "id")

    def __init__(self, query_id: int, lane: Lane, data: bytes, arrived: float, answer: Answer) -> None:
        self.id = query_id
        self.app = lane.app
        self.data = data
        self.arrived = arrived
        self.answer: Answer | None = answer
        self._lane = lane
        self._missing = 0
        self._outputs: dict[ModelVersion, bytes] = {}
        self._failure: tuple[str, str] | None = None

    @property
    def deadline(self) -> float:
        return self.arrived + self.app.slo

    def ask(self, choices: Sequence[Choice], executor: Executor, now: float) -> None:
        self._missing = len(choices)
        deadline = self.deadline
        for choice in choices:
            executor.submit(choice.model, self.data, deadline, self, now)

    def output(self, model: ModelVersion, fragment: bytes) -> None:
        self._outputs[model] = fragment
        self._heard()

    def failure(self, model: ModelVersion, reason: str, detail: str) -> None:
        self._failure = self._failure or (reason, detail)
        self._heard()

    def _heard(self) -> None:
        self._missing -= 1
        if self._missing == 0 and self.answer is not None:
            self.settle("no_model", "")

    def settle(self, reason: str, detail: str) -> None:
        """Answers with what has come; failing that with the default, because of the first failure or ``reason``."""
        combined = self.app.policy.combine(self.app.state, self.data, self._outputs)
        if combined is not None:
            prediction = Prediction(self.id, combined.output)
        else:
            reason, detail = self._failure or (reason, detail)
            explanation = EXPLANATIONS.get(reason, detail)
            prediction = Prediction(self.id, self.app.default_fragment, reason, explanation)
        answer, self.answer = self.answer, None
        assert answer is not None
        self._lane.settled(self, prediction, detail)
        answer(prediction)


class Lane:
    """The open queries of one application, in the order of their deadlines: one objective makes that first in,
    first out, so that one timer, for the head, does for all."""

    __slots__ = ("_clock", "_metrics", "_open", "_silent_until", "_timer_set", "app")

    def __init__(self, app: AppView, clock: Clock, metrics: AppMetrics) -> None:
        self.app = app
        self._clock = clock
        self._metrics = metrics
        self._open: dict[int, Query] = {}
        self._timer_set = False
        self._silent_until = 0.0

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, query: Query) -> None:
        self._open[query.id] = query
        if not self._timer_set:
            self._set_timer(query)

    def settled(self, query: Query, prediction: Prediction, detail: str) -> None:
        """Takes an answered query off, and into account."""
        del self._open[query.id]
        now = self._clock.time()
        if prediction.reason is None:
            self._metrics.answered(now - query.arrived)
        else:
            self._metrics.defaulted(prediction.reason, now - query.arrived)
            self._report(prediction, detail, now)

    def _set_timer(self, head: Query) -> None:
        self._timer_set = True
        self._clock.call_at(head.deadline, self._expire)

    def _expire(self) -> None:
        self._timer_set = False
        now = self._clock.time()
        for query in list(self._due(now)):
            query.settle("deadline", "")
        for head in self._open.values():
            self._set_timer(head)
            break

    def _due(self, now: float) -> Iterator[Query]:
        for query in self._open.values():
            if query.deadline > now + TIMER_SLACK:
                return
            yield query

    def _report(self, prediction: Prediction, detail: str, now: float) -> None:
        if now >= self._silent_until:
            self._silent_until = now + LOG_INTERVAL
            reason, why = prediction.reason, detail or prediction.explanation
            log.warning(
                "app %s: default output for query %d (%s): %s", self.app.name, prediction.query_id, reason, why
            )


class QueryIds:
    """Ids out of blocks that the store reserved: unique over frontends and restarts, and below 2^53."""

    BLOCK = 1 << 32

    def __init__(self, reserve: Callable[[Callable[[int], None]], None], first: int) -> None:
        """``reserve(then)`` gets the first id of another block and calls ``then`` with it, soon."""
        self._reserve = reserve
        self._next = first
        self._low = first + self.BLOCK // 2
        self._end = first + self.BLOCK
        self._reserved: int | None = None

    def take(self) -> int:
        query_id = self._next
        self._next = query_id + 1
        if self._next >= self._low:
            self._refill()
        return query_id

    def _refill(self) -> None:
        if self._next >= self._end and self._reserved is not None:
            self._next, self._reserved = self._reserved, None
            self._low, self._end = self._next + self.BLOCK // 2, self._next + self.BLOCK
        elif self._low < self._end:
            self._low = self._end
            self._reserve(self._take_note)

    def _take_note(self, first: int) -> None:
        self._reserved = first


class Processor:
    """Joins the layers: the catalog says what to ask, the policy chooses, the executor answers."""

    def __init__(self, catalog: Catalog, executor: Executor, ids: QueryIds, clock: Clock, metrics: Metrics) -> None:
        self.catalog = catalog
        self._executor = executor
        self._ids = ids
        self._clock = clock
        self._metrics = metrics
        self._rng = random.Random()
        self._lanes: dict[AppView, Lane] = {}

    def apply(self, registry: Registry) -> None:
        """Follows the registry; open queries of an application that went are still answered."""
        self.catalog.apply(registry)
        self._executor.configure(self.catalog.model_settings(), self._clock.time())
        views = set(self.catalog.apps.values())
        names = {view.name for view in views}
        for view in [view for view in self._lanes if view not in views]:
            del self._lanes[view]
            if view.name not in names:
                self._metrics.forget_app(view.name)

    def predict(
        self,
        app: AppView,
        data: bytes,
        answer: Answer,
        arrived: float,
        models: tuple[ModelVersion, ...] | None = None,
    ) -> None:
        """Has ``answer`` called exactly once: with an output, or with the default at the latest at the deadline.

        ``arrived`` is when the query's first byte came (the loop's clock, seconds); ``models`` overrides the linked
        models' current versions.
        """
        lane = self._lanes.get(app)
        if lane is None:
            lane = self._lanes[app] = Lane(app, self._clock, self._metrics.app(app.name))
        query = Query(self._ids.take(), lane, data, arrived, answer)
        lane.admit(query)
        models = app.models if models is None else models
        if not models:
            query.settle("no_model", f"nothing to ask: {_what_is_missing(app)}")
            return
        query.ask(app.policy.select(app.state, data, models, self._rng), self._executor, self._clock.time())

    def open_queries(self) -> int:
        return sum(map(len, self._lanes.values()))


def _what_is_missing(app: AppView) -> str:
    if app.linked:
        return f"model {app.linked[0]} has no current version"
    return "no model is linked to the application"
