"""The open queries of one application, and their deadlines."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from clipper.catalog import AppView
from clipper.execution.executor import Executor
from clipper.metrics import AppMetrics
from clipper.prediction import Prediction
from clipper.types import ModelVersion

log = logging.getLogger(__name__)

NO_MODELS = "No connected models found for query"
TOO_LATE = "Failed to retrieve a prediction response within the specified latency SLO"
EXPLANATIONS = {"no_model": NO_MODELS, "no_replica": NO_MODELS, "deadline": TOO_LATE}


LOG_INTERVAL = 1.0
"""Seconds in which an application's defaults are logged once; the metrics count each."""

TIMER_SLACK = 0.0005
"""The event loop's timers tick in milliseconds: a query due within half of one is due."""

REMEMBERED: Final = 256
"""Answers of an application that has never had feedback, to which the first may belong."""

Answer = Callable[[Prediction], None]


class Clock(Protocol):
    """The event loop, as far as deadlines need it."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> object: ...


class OpenQuery(Protocol):
    """A query under way: it has ``answer`` called once, and forgets it then."""

    id: int
    arrived: float
    deadline: float
    answer: Answer | None
    request_id: str

    def give_up(self) -> None:
        """The deadline is there."""
        ...

    def abandon(self) -> None:
        """The client has gone: no answer, and no work for one."""
        ...


class Lane:
    """The open queries of one application, in the order of their deadlines: one objective makes that first in,
    first out, so that one timer, for the head, does for all."""

    __slots__ = (
        "_latest",
        "_metrics",
        "_open",
        "_silent_until",
        "_timer_set",
        "app",
        "call_at",
        "executor",
        "recent",
        "slo",
        "time",
    )

    def __init__(self, app: AppView, executor: Executor, clock: Clock, metrics: AppMetrics) -> None:
        self.app = app
        self.slo = app.slo
        self.executor = executor
        self.time = clock.time
        self.call_at = clock.call_at
        self._metrics = metrics
        self._open: dict[int, OpenQuery] = {}
        self._latest = 0.0
        self._timer_set = False
        self._silent_until = 0.0
        self.recent: deque[tuple[int, ModelVersion, bytes]] = deque(maxlen=REMEMBERED)

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, query: OpenQuery) -> None:
        self._open[query.id] = query
        if query.deadline < self._latest:  # it took long to read, and younger ones came before
            self.call_at(query.deadline, query.give_up)
            return
        self._latest = query.deadline
        if not self._timer_set:
            self._set_timer(query)

    def answered(self, query: OpenQuery) -> None:
        """Takes off a query that its models have answered."""
        del self._open[query.id]
        self._metrics.answered(self.time() - query.arrived)

    def defaulted(self, query: OpenQuery, reason: str, detail: str) -> None:
        """Takes off a query that its models have not answered, and gives it the default output."""
        explanation = EXPLANATIONS.get(reason, detail)
        self.default(query, Prediction(query.id, self.app.default_fragment, reason, explanation), detail)

    def default(self, query: OpenQuery, prediction: Prediction, detail: str) -> None:
        """The same, with a prediction that tells more."""
        del self._open[query.id]
        now = self.time()
        reason = prediction.reason
        assert reason is not None
        self._metrics.defaulted(reason, now - query.arrived)
        if now >= self._silent_until:
            self._report(query, prediction, detail, now)
        answer, query.answer = query.answer, None
        assert answer is not None
        answer(prediction)

    def abandoned(self, query: OpenQuery) -> None:
        """Takes off a query whose client has gone."""
        del self._open[query.id]
        self._metrics.cancelled += 1
        query.answer = None

    def _set_timer(self, head: OpenQuery) -> None:
        self._timer_set = True
        self.call_at(head.deadline, self._expire)

    def _expire(self) -> None:
        self._timer_set = False
        now = self.time()
        for query in list(self._due(now)):
            query.give_up()
        for head in self._open.values():
            self._set_timer(head)
            break

    def _due(self, now: float) -> Iterator[OpenQuery]:
        for query in self._open.values():
            if query.deadline > now + TIMER_SLACK:
                return
            yield query

    def _report(self, query: OpenQuery, prediction: Prediction, detail: str, now: float) -> None:
        self._silent_until = now + LOG_INTERVAL
        reason, why = prediction.reason, detail or prediction.explanation
        name, query_id = self.app.name, query.id
        fields = {"app": name, "query_id": query_id, "reason": reason, "request_id": query.request_id}
        log.warning("app %s: default output for query %d (%s): %s", name, query_id, reason, why, extra=fields)


def policy_failed(lane: Lane, query: OpenQuery, what: str, error: Exception) -> None:
    """Answers a query with the default whose policy raised in one of its methods."""
    if query.answer is not None:
        policy = lane.app.application.selection_policy
        text = f"the selection policy {policy} failed in {what}: {type(error).__name__}: {error}"
        lane.defaulted(query, "model_error", text)


def asks_none(lane: Lane, query: OpenQuery) -> None:
    """Answers a query with the default whose policy selects no model."""
    policy = lane.app.application.selection_policy
    lane.defaulted(query, "no_model", f"the policy {policy} would ask none of the linked models")
