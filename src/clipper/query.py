"""Queries under way. Each is answered once: by its models, or at its deadline, with the reason why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from clipper.catalog import AppView
from clipper.execution.executor import Executor
from clipper.execution.flight import Flight
from clipper.metrics import AppMetrics
from clipper.prediction import Prediction
from clipper.selection.policy import Choice
from clipper.types import ModelVersion

log = logging.getLogger(__name__)

NO_MODELS = "No connected models found for query"
TOO_LATE = "Failed to retrieve a prediction response within the specified latency SLO"
EXPLANATIONS = {"no_model": NO_MODELS, "no_replica": NO_MODELS, "deadline": TOO_LATE}


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
    """A question to one model."""

    __slots__ = ("answer", "arrived", "deadline", "flight", "id", "lane")

    def __init__(self, query_id: int, lane: Lane, arrived: float, answer: Answer) -> None:
        self.id = query_id
        self.lane = lane
        self.arrived = arrived
        self.deadline = arrived + lane.slo
        self.answer: Answer | None = answer
        self.flight: Flight | None = None

    def output(self, model: ModelVersion, fragment: bytes) -> None:
        answer = self.answer
        if answer is not None:
            self.answer = None
            self.lane.answered(self)
            answer(Prediction(self.id, fragment))

    def failure(self, model: ModelVersion, reason: str, detail: str) -> None:
        if self.answer is not None:
            self.lane.defaulted(self, reason, detail)

    def give_up(self) -> None:
        """The deadline is there."""
        if self.answer is not None:
            self.lane.defaulted(self, "deadline", "")

    def abandon(self) -> None:
        """The client has gone: no answer, and no work for one."""
        if self.answer is not None:
            self.lane.abandoned(self)
            if self.flight is not None:
                self.lane.executor.forsake(self.flight, self)


class EnsembleQuery:
    """A question to several models, or to some of several: whom it asked, what came."""

    __slots__ = (
        "_asked",
        "_failure",
        "_flights",
        "_lane",
        "_missing",
        "_outputs",
        "_state",
        "answer",
        "arrived",
        "data",
        "deadline",
        "id",
    )

    def __init__(self, query_id: int, lane: Lane, data: bytes, arrived: float, answer: Answer) -> None:
        self.id = query_id
        self.data = data
        self.arrived = arrived
        self.deadline = arrived + lane.slo
        self.answer: Answer | None = answer
        self._lane = lane
        self._asked: Sequence[Choice] = ()
        self._state = lane.app.state  # as of when it was asked: links may change meanwhile
        self._missing = 0
        self._outputs: dict[ModelVersion, bytes] = {}
        self._flights: list[Flight] = []
        self._failure = ("deadline", "")

    def ask(self, choices: Sequence[Choice], now: float) -> None:
        self._asked = choices
        self._missing = len(choices)
        submit = self._lane.executor.submit
        for choice in choices:
            flight = submit(choice.model, self.data, self.deadline, self, now)
            if flight is not None:
                self._flights.append(flight)

    def output(self, model: ModelVersion, fragment: bytes) -> None:
        self._outputs[model] = fragment
        self._heard()

    def failure(self, model: ModelVersion, reason: str, detail: str) -> None:
        self._failure = (reason, detail)
        self._heard()

    def _heard(self) -> None:
        self._missing -= 1
        if not self._missing:
            self.give_up()

    def give_up(self) -> None:
        """Nothing more will come, or the deadline is there: answers with what has come, else with the default."""
        if self.answer is None:
            return
        app = self._lane.app
        combined = app.policy.combine(self._state, self.data, self._outputs)
        if combined is None:
            self._lane.defaulted(self, *self._failure)
        else:
            models = tuple(choice.model for choice in self._asked if choice.model in self._outputs)
            prediction = Prediction(self.id, combined.output, models=models, confidence=combined.confidence)
            answer, self.answer = self.answer, None
            self._lane.answered(self)
            answer(prediction)

    def abandon(self) -> None:
        """The client has gone: no answer, and no work for one."""
        if self.answer is not None:
            self._lane.abandoned(self)
            for flight in self._flights:
                self._lane.executor.forsake(flight, self)


AnyQuery = Query | EnsembleQuery


class Lane:
    """The open queries of one application, in the order of their deadlines: one objective makes that first in,
    first out, so that one timer, for the head, does for all."""

    __slots__ = (
        "_clock",
        "_latest",
        "_metrics",
        "_open",
        "_silent_until",
        "_time",
        "_timer_set",
        "app",
        "executor",
        "slo",
    )

    def __init__(self, app: AppView, executor: Executor, clock: Clock, metrics: AppMetrics) -> None:
        self.app = app
        self.slo = app.slo
        self.executor = executor
        self._clock = clock
        self._time = clock.time
        self._metrics = metrics
        self._open: dict[int, AnyQuery] = {}
        self._latest = 0.0
        self._timer_set = False
        self._silent_until = 0.0

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, query: AnyQuery) -> None:
        self._open[query.id] = query
        if query.deadline < self._latest:  # it took long to read, and younger ones came before
            self._clock.call_at(query.deadline, query.give_up)
            return
        self._latest = query.deadline
        if not self._timer_set:
            self._set_timer(query)

    def answered(self, query: AnyQuery) -> None:
        """Takes off a query that its models have answered."""
        del self._open[query.id]
        self._metrics.answered(self._time() - query.arrived)

    def defaulted(self, query: AnyQuery, reason: str, detail: str) -> None:
        """Takes off a query that its models have not answered, and gives it the default output."""
        del self._open[query.id]
        now = self._time()
        explanation = EXPLANATIONS.get(reason, detail)
        prediction = Prediction(query.id, self.app.default_fragment, reason, explanation)
        self._metrics.defaulted(reason, now - query.arrived)
        if now >= self._silent_until:
            self._report(prediction, detail, now)
        answer, query.answer = query.answer, None
        assert answer is not None
        answer(prediction)

    def abandoned(self, query: AnyQuery) -> None:
        """Takes off a query whose client has gone."""
        del self._open[query.id]
        self._metrics.cancelled += 1
        query.answer = None

    def _set_timer(self, head: AnyQuery) -> None:
        self._timer_set = True
        self._clock.call_at(head.deadline, self._expire)

    def _expire(self) -> None:
        self._timer_set = False
        now = self._time()
        for query in list(self._due(now)):
            query.give_up()
        for head in self._open.values():
            self._set_timer(head)
            break

    def _due(self, now: float) -> Iterator[AnyQuery]:
        for query in self._open.values():
            if query.deadline > now + TIMER_SLACK:
                return
            yield query

    def _report(self, prediction: Prediction, detail: str, now: float) -> None:
        self._silent_until = now + LOG_INTERVAL
        reason, why = prediction.reason, detail or prediction.explanation
        log.warning("app %s: default output for query %d (%s): %s", self.app.name, prediction.query_id, reason, why)
