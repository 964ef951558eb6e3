"""A query under way to one model."""

from __future__ import annotations

from clipper.execution.flight import Flight
from clipper.lane import Answer, Lane
from clipper.prediction import Prediction
from clipper.types import ModelVersion


class Query:
    """A question to the one model of an application that has never had feedback. It is answered once: by the model,
    or at its deadline, with the reason why."""

    __slots__ = ("answer", "arrived", "deadline", "flight", "id", "lane", "request_id")

    def __init__(self, query_id: int, lane: Lane, arrived: float, answer: Answer, request_id: str = "") -> None:
        self.id = query_id
        self.lane = lane
        self.arrived = arrived
        self.deadline = arrived + lane.slo
        self.answer: Answer | None = answer
        self.request_id = request_id
        self.flight: Flight | None = None

    def output(self, model: ModelVersion, fragment: bytes) -> None:
        answer = self.answer
        if answer is not None:
            self.answer = None
            lane = self.lane
            lane.answered(self)
            lane.recent.append((self.id, model, fragment))
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
