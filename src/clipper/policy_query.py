"""A query under way whose models a policy chooses, and whose answer it makes of what they say."""

from __future__ import annotations

import random
from collections.abc import Sequence

from clipper.catalog import AppView
from clipper.completion import Listeners, tell_listeners
from clipper.decisions import Decisions
from clipper.execution.flight import Flight
from clipper.lane import Answer, Lane, asks_none, policy_failed
from clipper.prediction import Prediction
from clipper.selection.policy import Choice, Combined, Context, State
from clipper.types import ModelVersion


class PolicyQuery:
    """Asks the models chosen, and the shadows beside them; is answered as soon as nothing can change the answer.

    Outputs that come later, and those of shadows, are kept for the feedback: a query is a ``decisions.Made``.
    """

    __slots__ = (
        "_decisions",
        "_failure",
        "_flights",
        "_models",
        "_sending",
        "_state",
        "_waiting",
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
        "outputs",
        "request_id",
        "shadow_outputs",
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
        self.asked: list[Choice] = []
        self.shadows: tuple[ModelVersion, ...] = ()
        self.outputs: dict[ModelVersion, bytes] = {}
        self.shadow_outputs: dict[ModelVersion, bytes] = {}
        self.answered_with: bytes | None = None
        self.confidence = 0.0
        self.unheard = 0
        self.listeners: Listeners | None = None
        self._decisions = decisions
        self._state: State = None
        self._models: Sequence[ModelVersion] = ()
        self._waiting: list[ModelVersion] = []
        self._flights: list[Flight] = []
        self._failure = ("deadline", "")
        self._sending = False

    @property
    def app(self) -> AppView:
        return self.lane.app

    # -- asking

    def ask(self, state: State, models: Sequence[ModelVersion], rng: random.Random, now: float) -> None:
        """Asks those of ``models`` that the policy selects in ``state``, and all shadows."""
        if self.answer is None:
            return
        self._state = state  # as of when it was asked: it may learn meanwhile
        self._models = models
        try:
            choices = self.lane.app.policy.select(state, self.context, models, rng)
        except Exception as error:
            policy_failed(self.lane, self, "select", error)
            return
        if not choices:
            asks_none(self.lane, self)
            return
        if self.lane.app.shadows:
            asked = {choice.model for choice in choices}
            self.shadows = tuple([each for each in self.lane.app.shadows if each not in asked])
        self._send(choices, now)

    def _send(self, choices: Sequence[Choice], now: float) -> None:
        self.asked += choices
        models = [choice.model for choice in choices]
        self._waiting += models
        self._sending = True  # outputs may come before this returns: all that do are considered together
        submit, data = self.lane.executor.submit, self.context.data
        if len(self.asked) == len(models):
            models += self.shadows
        self.unheard += len(models)
        for model in models:
            flight = submit(model, data, self.deadline, self, now, self.request_id)
            if flight is not None:
                self._flights.append(flight)
        self._sending = False
        if self.lane.app.escalates:
            self._plan_to_ask_more(now)
        if len(self._flights) < len(self.asked) + len(self.shadows):
            self._consider()

    def _plan_to_ask_more(self, now: float) -> None:
        """One that does not answer must leave time for those that could be asked in its place."""
        left = len(self._models) - len(self.asked)
        if left > 0:
            self.lane.call_at(now + (self.deadline - now) / (left + 1), self._lose_patience)

    def _lose_patience(self) -> None:
        if self.answer is not None and self._waiting:
            self._asks_more()

    # -- hearing

    def output(self, model: ModelVersion, fragment: bytes) -> None:
        if model in self._waiting:
            self._waiting.remove(model)
            self.outputs[model] = fragment
            self._consider()
        else:
            self.shadow_outputs[model] = fragment
        self._heard()

    def failure(self, model: ModelVersion, reason: str, detail: str) -> None:
        if model in self._waiting:
            self._waiting.remove(model)
            self._failure = (reason, detail)
            self._consider()
        self._heard()

    def _heard(self) -> None:
        self.unheard -= 1
        if not self.unheard and self.listeners is not None:
            tell_listeners(self)

    def _consider(self) -> None:
        """Answers, asks more, or waits."""
        if self.answer is None or self._sending:
            return
        if self._waiting:
            combined = self._combine() if self.outputs else None
            if combined is not None and self._is_settled(combined):
                self._finish(combined)
        elif not self._asks_more():
            self.give_up()

    def _combine(self) -> Combined | None:
        try:
            return self.lane.app.policy.combine(self._state, self.context, self.outputs, self._missing())
        except Exception as error:
            policy_failed(self.lane, self, "combine", error)
            return None

    def _missing(self) -> list[ModelVersion]:
        """Who was asked and has not answered, or can't."""
        outputs = self.outputs
        if len(outputs) == len(self.asked):
            return []
        return [choice.model for choice in self.asked if choice.model not in outputs]

    def _is_settled(self, combined: Combined) -> bool:
        """Whether what is missing can change neither the output nor the side of the threshold that it is on."""
        threshold = self.lane.app.confidence_threshold
        return combined.settled and not combined.confidence < threshold <= combined.ceiling

    def _asks_more(self) -> bool:
        app = self.lane.app
        if not app.escalates or len(self.asked) >= len(self._models):
            return False
        asked = [choice.model for choice in self.asked]
        left = [each for each in self._models if each not in asked]
        try:
            more = app.policy.ask_more(self._state, self.context, left, self.outputs)
        except Exception as error:
            policy_failed(self.lane, self, "ask_more", error)
            return True
        if more:
            self._send(more, self.lane.time())
        return bool(more)

    # -- answering

    def give_up(self) -> None:
        """Nothing more will come, or the deadline is there: answers with what has come, else with the default."""
        if self.answer is None:
            return
        combined = self._combine()
        if combined is not None:
            self._finish(combined)
        elif self.answer is not None:  # it is none if the policy failed just now
            self._decide()
            self.lane.defaulted(self, *self._failure)

    def _finish(self, combined: Combined) -> None:
        app = self.lane.app
        self.confidence = confidence = combined.confidence
        prediction = Prediction(self.id, combined.output, confidence=confidence)
        if app.ensemble:
            outputs = self.outputs
            prediction.models = tuple([choice.model for choice in self.asked if choice.model in outputs])
            prediction.missing = tuple(self._missing())
        self._decide()
        if confidence < app.confidence_threshold:
            self._default(prediction, app.confidence_threshold)
            return
        self.answered_with = combined.output
        answer, self.answer = self.answer, None
        self.lane.answered(self)
        assert answer is not None
        answer(prediction)

    # -- what feedback needs

    def said(self) -> dict[ModelVersion, bytes]:
        return {**self.outputs, **self.shadow_outputs}

    def _decide(self) -> None:
        """What was decided is kept for feedback; what is needed no more is let go."""
        self._state, self._models, self._flights = None, (), []
        self._decisions.add(self)

    def _default(self, prediction: Prediction, threshold: float) -> None:
        prediction.output = self.lane.app.default_fragment
        prediction.reason = "low_confidence"
        prediction.explanation = (
            f"The confidence is {prediction.confidence:.3g}, below the application's threshold of {threshold:g}"
        )
        self.lane.default(self, prediction, prediction.explanation)

    def abandon(self) -> None:
        """The client has gone: no answer, and no work for one."""
        if self.answer is not None:
            self.lane.abandoned(self)
            for flight in self._flights:
                self.lane.executor.forsake(flight, self)
