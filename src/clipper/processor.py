"""The verbs of the system: ``predict`` asks models, and has the query answered in time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import ClassVar

from clipper.catalog import AppView, Catalog
from clipper.execution.executor import Executor
from clipper.metrics import Metrics
from clipper.query import Answer, AnyQuery, Clock, EnsembleQuery, Lane, Query
from clipper.types import ModelVersion, Registry


class QueryIds:
    """Ids out of blocks that the store reserved: unique over frontends and restarts, and below 2^53."""

    BLOCK: ClassVar[int] = 1 << 32

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
        self._time = clock.time
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
    ) -> AnyQuery:
        """Has ``answer`` called exactly once: with an output, or with the default at the latest at the deadline.

        ``arrived`` is when the query's first byte came (the loop's clock, seconds); ``models`` overrides the linked
        models' current versions. The query that is returned can be abandoned.
        """
        lane = self._lanes.get(app)
        if lane is None:
            lane = self._lanes[app] = Lane(app, self._executor, self._clock, self._metrics.app(app.name))
        models = app.models if models is None else models
        if app.ensemble and models:
            return self._ask_several(lane, data, answer, arrived, models)
        query = Query(self._ids.take(), lane, arrived, answer)
        lane.admit(query)
        if models:
            query.flight = self._executor.submit(models[0], data, query.deadline, query, self._time())
        else:
            lane.defaulted(query, "no_model", f"nothing to ask: {_what_is_missing(app)}")
        return query

    def _ask_several(
        self, lane: Lane, data: bytes, answer: Answer, arrived: float, models: tuple[ModelVersion, ...]
    ) -> EnsembleQuery:
        query = EnsembleQuery(self._ids.take(), lane, data, arrived, answer)
        lane.admit(query)
        app = lane.app
        query.ask(app.policy.select(app.state, data, models, self._rng), self._time())
        return query

    def open_queries(self) -> int:
        return sum(map(len, self._lanes.values()))


def _what_is_missing(app: AppView) -> str:
    if app.linked:
        return f"model {app.linked[0]} has no current version"
    return "no model is linked to the application"
