"""A query under way to the one model that a policy drew: what most queries of a bandit are, with little to keep."""

from __future__ import annotations

import random
from collections.abc import Sequence

from clipper.catalog import AppView
from clipper.completion import Listeners, tell_listeners
from clipper.decisions import Decisions
from clipper.execution.flight import Flight
from clipper.lane import Answer, Lane, asks_none, policy_failed
from clipper.prediction import Prediction
from clipper.selection.policy import Choice, Context, State
from clipper.types import ModelVersion


class DrawnQuery:
    """``PolicyQuery`` for policies that ask one model, and trust what it says: ``AppView.draws_one``.

    The output is the answer, and known to the feedback even if it comes after the deadline. A ``decisions.Made``.
    """

    __slots__ = (
        "_decisions",
        "_flight",
        "_output",
        "answer",
        "answered_with",
        "arrived",
        "asked",
        "confidence",
        "context",
        "deadline",
        "id",
        "lane",
        "listeners",
        "request_id",
        "shadows",
        "unheard",
    )

    def __init__(
        self,
        query_id: int,
        lane: Lane,
        context: Context,
        arrived: float,
        answer: Answer,
        decisions: Decisions,
        request_id: str = "",
    ) -> None:
        self.id = query_id
        self.lane = lane
        self.context = context
        self.arrived = arrived
        self.deadline = arrived + lane.slo
        self.answer: Answer | None = answer
        self.request_id = request_id
        self.asked: Sequence[Choice] = ()
        self.shadows: tuple[ModelVersion, ...] = ()
        self.answered_with: bytes | None = None
        self.confidence = 0.0
        self.unheard = 0
        self.listeners: Listeners | None = None
        self._decisions = decisions
        self._flight: Flight | None = None
        self._output: bytes | None = None

    @property
    def app(self) -> AppView:
        return self.lane.app

    def ask(self, state: State, models: Sequence[ModelVersion], rng: random.Random, now: float) -> None:
        """Asks the one of ``models`` that the policy selects in ``state``."""
        if self.answer is None:
            return
        try:
            self.asked = choices = self.lane.app.policy.select(state, self.context, models, rng)
        except Exception as error:
            policy_failed(self.lane, self, "select", error)
            return
        if not choices:
            asks_none(self.lane, self)
            return
        self.unheard = 1
        self._flight = self.lane.executor.submit(
            choices[0].model, self.context.data, self.deadline, self, now, self.request_id
        )

    def output(self, model: ModelVersion, fragment: bytes) -> None:
        self._output = fragment
        self.unheard = 0
        answer = self.answer
        if answer is not None:
            self.answer = self._flight = None
            self.answered_with = fragment
            self.confidence = 1.0
            self._decisions.add(self)
            lane = self.lane
            lane.answered(self)
            answer(Prediction(self.id, fragment, None, "", (model,) if lane.app.ensemble else None))
        if self.listeners is not None:
            tell_listeners(self)

    def failure(self, model: ModelVersion, reason: str, detail: str) -> None:
        self.unheard = 0
        self._default(reason, detail)
        if self.listeners is not None:
            tell_listeners(self)

    def give_up(self) -> None:
        """The deadline is there."""
        self._default("deadline", "")

    def _default(self, reason: str, detail: str) -> None:
        if self.answer is not None:
            self._flight = None
            self._decisions.add(self)
            self.lane.defaulted(self, reason, detail)

    def said(self) -> dict[ModelVersion, bytes]:
        return {} if self._output is None else {self.asked[0].model: self._output}

    def abandon(self) -> None:
        """The client has gone: no answer, and no work for one."""
        if self.answer is not None:
            self.lane.abandoned(self)
            if self._flight is not None:
                self.lane.executor.forsake(self._flight, self)
