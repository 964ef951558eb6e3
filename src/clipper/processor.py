"""The first verb of the system: ``predict`` asks models, and has the query answered in time."""

from __future__ import annotations

import random

from clipper.catalog import AppView, Catalog
from clipper.decisions import Decisions
from clipper.drawn_query import DrawnQuery
from clipper.execution.executor import Executor
from clipper.lane import Answer, Clock, Lane, OpenQuery
from clipper.metrics import AppMetrics, Metrics
from clipper.policy_query import PolicyQuery
from clipper.query import Query
from clipper.query_ids import QueryIds
from clipper.selection.policy import Context
from clipper.selection.states import States
from clipper.types import ModelVersion, Registry

STATE_PATIENCE = 0.25
"""The share of its time that a query waits for its user's state; then everybody's has to do."""


class Processor:
    """Joins the layers: the catalog says what to ask, the policy chooses, the executor answers."""

    def __init__(
        self,
        catalog: Catalog,
        executor: Executor,
        ids: QueryIds,
        clock: Clock,
        metrics: Metrics,
        states: States,
        decisions: Decisions,
    ) -> None:
        self.catalog = catalog
        self._executor = executor
        self._ids = ids
        self._clock = clock
        self._time = clock.time
        self._metrics = metrics
        self._states = states
        self._decisions = decisions
        self._rng = random.Random()
        self._lanes: dict[AppView, Lane] = {}
        self._asides: dict[AppView, Lane] = {}  # for what is asked because of feedback, and counts as no query

    def apply(self, registry: Registry) -> None:
        """Follows the registry; open queries of an application that went are still answered."""
        self.catalog.apply(registry)
        self._executor.configure(self.catalog.model_settings(), self._clock.time())
        apps = self.catalog.apps
        self._states.follow({name: (app.teaching, app.linked) for name, app in apps.items()}, registry.revision)
        self.note_feedback()
        views = set(apps.values())
        for lanes in (self._lanes, self._asides):
            for view in [view for view in lanes if view not in views]:
                del lanes[view]
                if view.name not in apps:
                    self._metrics.forget_app(view.name)

    def note_feedback(self) -> None:
        """Keeps the answers of applications that have had feedback, whichever frontend it came through."""
        for name, app in self.catalog.apps.items():
            if not app.has_feedback and self._states.learned(name).feedbacks:
                app.note_feedback()

    # -- predict

    def predict(
        self,
        app: AppView,
        data: bytes,
        answer: Answer,
        arrived: float,
        models: tuple[ModelVersion, ...] | None = None,
        user: str = "",
        request_id: str = "",
    ) -> OpenQuery:
        """Has ``answer`` called exactly once: with an output, or with the default at the latest at the deadline.

        ``arrived`` is when the query's first byte came (the loop's clock, seconds); ``models`` overrides the linked
        models' current versions; ``user`` is whom it is for; ``request_id`` is what the client calls the request, for
        logs. The query that is returned can be abandoned.
        """
        lane = self._lanes.get(app)
        if lane is None:
            lane = self._lanes[app] = self._lane(app, self._metrics.app(app.name))
            if app.learns:
                self._metrics.app(app.name).weights = lambda: self._states.weights(app.name)
        models = app.models if models is None else models
        if app.selects and models:
            return self._ask_by_policy(lane, data, answer, arrived, models, user, request_id)
        query = Query(self._ids.take(), lane, arrived, answer, request_id)
        lane.admit(query)
        if models:
            now = self._time()
            query.flight = self._executor.submit(models[0], data, query.deadline, query, now, request_id)
        else:
            lane.defaulted(query, "no_model", f"nothing to ask: {what_is_missing(app)}")
        return query

    def ask_aside(self, app: AppView, data: bytes, answer: Answer, user: str, request_id: str) -> None:
        """As ``predict`` by the policy, on behalf of feedback: it counts as no query of the application."""
        lane = self._asides.get(app)
        if lane is None:
            lane = self._asides[app] = self._lane(app, AppMetrics())
        self._ask_by_policy(lane, data, answer, self._time(), app.models, user, request_id)

    def recent(self, app: AppView, query_id: int) -> tuple[ModelVersion, bytes] | None:
        """Of one of the last answers that no policy made: the model and its output."""
        lane = self._lanes.get(app)
        for each, model, output in lane.recent if lane is not None else ():
            if each == query_id:
                return model, output
        return None

    def has_given(self, query_id: int) -> bool:
        """Whether this frontend gave the id, lately."""
        return self._ids.has_given(query_id)

    def _lane(self, app: AppView, metrics: AppMetrics) -> Lane:
        return Lane(app, self._executor, self._clock, metrics)

    def _ask_by_policy(
        self,
        lane: Lane,
        data: bytes,
        answer: Answer,
        arrived: float,
        models: tuple[ModelVersion, ...],
        user: str,
        request_id: str,
    ) -> DrawnQuery | PolicyQuery:
        app, rng = lane.app, self._rng
        context = Context(data, app.application.input_type, user, rng.random())
        query: DrawnQuery | PolicyQuery
        if app.draws_one:
            query = DrawnQuery(self._ids.take(), lane, context, arrived, answer, self._decisions, request_id)
        else:
            query = PolicyQuery(self._ids.take(), lane, context, arrived, answer, self._decisions, request_id)
        lane.admit(query)
        if not user or not app.learns:
            query.ask(self._states.of_everybody(app.name), models, rng, self._time())
            return query
        known = self._states.of_user(app.name, user)
        if known is not None:
            query.ask(known[0], models, rng, self._time())
        else:
            self._ask_when_loaded(query, models, user)
        return query

    def _ask_when_loaded(self, query: DrawnQuery | PolicyQuery, models: tuple[ModelVersion, ...], user: str) -> None:
        """Asks once the user's state is there; or from everybody's, if that takes too long or too many wait."""
        app = query.app
        asked = False

        def ask_once() -> None:
            nonlocal asked
            if not asked:
                asked = True
                known = self._states.of_user(app.name, user)
                state = self._states.of_everybody(app.name) if known is None else known[0]
                query.ask(state, models, self._rng, self._time())

        if self._states.wait_for(app.name, user, ask_once):
            self._clock.call_at(self._time() + app.slo * STATE_PATIENCE, ask_once)
        else:
            ask_once()

    def open_queries(self) -> int:
        return sum(map(len, (*self._lanes.values(), *self._asides.values())))


def what_is_missing(app: AppView) -> str:
    if app.linked:
        return f"model {app.linked[0]} has no current version"
    return "no model is linked to the application"
