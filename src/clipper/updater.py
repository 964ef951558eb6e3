"""The second verb of the system: ``update`` takes feedback, finds what it is about, has it written and learned."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from clipper.catalog import AppView
from clipper.decisions import Decisions, kept_output
from clipper.errors import ClipperError, InternalError, StoreError, Unavailable
from clipper.feedback import FeedbackAnswer, FeedbackRequest, assess, unknown_query
from clipper.prediction import Prediction
from clipper.processor import Processor, what_is_missing
from clipper.store.journal import DecisionRecord, Feedback

log = logging.getLogger(__name__)

Respond = Callable[[FeedbackAnswer | ClipperError], None]


class Desk(Protocol):
    """The journal, as the event loop sees it: what is asked of it comes later, and never while it is asked."""

    def accept(self, feedback: Feedback, then: Callable[[bool | StoreError], None]) -> None:
        """Has feedback written; ``then`` is told once it is durable and learned, or (False) that it is a repetition.

        Raises:
            Unavailable: too much waits to be written.
        """
        ...

    def recall(
        self, query_id: int, then: Callable[[DecisionRecord | StoreError | None], None], patiently: bool
    ) -> None:
        """Looks for a decision in the journal; ``patiently``: again, as another frontend may be about to write it."""
        ...


class Updater:
    """Joins feedback with its decision: by query id, here or in the journal; by input, by asking again."""

    def __init__(self, processor: Processor, decisions: Decisions, desk: Desk, clock: Callable[[], float]) -> None:
        """``clock`` tells the seconds since the epoch, to stamp feedback with."""
        self._processor = processor
        self._decisions = decisions
        self._desk = desk
        self._clock = clock

    def update(self, app: AppView, request: FeedbackRequest, respond: Respond) -> None:
        """Has ``respond`` called exactly once: with what feedback did, or with the error that it is refused with.

        What is asked of several models may be answered before all have said something: feedback waits for the rest,
        at most until the query's deadline, for it is about them all.
        """
        if request.query_id is None:
            self._ask_again(app, request, respond)
            return
        query_id = request.query_id

        def found(decision: DecisionRecord) -> None:
            self._accept(app, decision, request, respond)

        decision = self._of_one_model(app, query_id)
        if decision is not None:
            found(decision)
        elif not self._decisions.find_complete(query_id, found):
            self._recall(app, query_id, request, respond)

    def _of_one_model(self, app: AppView, query_id: int) -> DecisionRecord | None:
        recent = self._processor.recent(app, query_id)
        if recent is None:
            return None
        model, output = recent
        return DecisionRecord(
            query_id=query_id,
            app=app.name,
            user="",
            at=self._clock(),
            epoch=app.epoch,
            linked=app.linked,
            asked=((model, 1.0),),
            shadows=(),
            outputs={str(model): kept_output(output)},
            answer=kept_output(output),
            confidence=1.0,
            draw=0.0,
        )

    def _recall(self, app: AppView, query_id: int, request: FeedbackRequest, respond: Respond) -> None:
        def recalled(found: DecisionRecord | StoreError | None) -> None:
            if isinstance(found, StoreError):
                respond(Unavailable(found.cause))
            elif found is None:
                respond(unknown_query(app, query_id))
                app.note_feedback()
            else:
                self._accept(app, found, request, respond)

        self._desk.recall(query_id, recalled, patiently=not self._processor.has_given(query_id))

    def _ask_again(self, app: AppView, request: FeedbackRequest, respond: Respond) -> None:
        """By input: the models are asked (most often the cache knows), as if the query came now."""
        if not app.models or request.data is None:
            respond(Unavailable(f"feedback by input needs a model to ask: {what_is_missing(app)}"))
            return

        def answered(prediction: Prediction) -> None:
            why = prediction.explanation or "no output came"
            refusal = Unavailable(f"no model answered for this feedback ({why}): send it again")

            def found(decision: DecisionRecord) -> None:
                if decision.outputs:
                    self._accept(app, decision, request, respond)
                else:
                    respond(refusal)

            if not self._decisions.find_complete(prediction.query_id, found):
                respond(refusal)

        self._processor.ask_aside(app, request.data, answered, request.user, request.request_id)

    def _accept(self, app: AppView, decision: DecisionRecord, request: FeedbackRequest, respond: Respond) -> None:
        def written(outcome: bool | StoreError) -> None:
            if isinstance(outcome, StoreError):
                respond(Unavailable(outcome.cause))
            else:
                respond(FeedbackAnswer(outcome, decision.query_id, feedback.losses if outcome else {}))

        try:
            feedback = assess(app, decision, request, self._clock())
            self._desk.accept(feedback, written)
        except ClipperError as error:
            respond(error)
        except Exception:  # it may be called by what brings outputs: nobody else would answer
            log.exception("feedback for application %s could not be taken", app.name)
            respond(InternalError("the query frontend failed on this feedback: its log holds the traceback"))
        else:
            app.note_feedback()
