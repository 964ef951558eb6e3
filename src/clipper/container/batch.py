"""One batch: its inputs, the user's function, its outcomes. What the function does wrong ends here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Final, NoReturn

from clipper.container.batch_metrics import BatchMetrics
from clipper.container.inputs import Inputs
from clipper.container.load import Function
from clipper.container.log import TracebackLog, format_traceback, is_logged, log, shown_ids
from clipper.container.outputs import OutputError, encode_outputs, failure
from clipper.container.request_ids import CURRENT
from clipper.rpc.wire import MAX_OUTCOMES, Frame, InputType, Outcome, decode_request_ids, encode_outcomes

_DEFAULT_BUDGET: Final = 1.0
_MAX_OUTPUTS: Final = MAX_OUTCOMES // 2  # leaves more than enough for their lengths
_MAX_ERROR_TEXT: Final = 2000


class Model:
    """The user's function, as something that answers BATCH messages and never raises for what the function does."""

    def __init__(self, function: Function, input_type: InputType) -> None:
        self._function = function
        self._input_type = input_type
        self._tracebacks = TracebackLog()
        self._logs_batches = is_logged("debug")
        self.metrics = BatchMetrics()

    def answer(self, frame: Frame, received_in: float = 0.0) -> bytes:
        """The OUTCOMES message for a BATCH that took ``received_in`` seconds to arrive.

        WireError if the batch is malformed; KeyboardInterrupt passes.
        """
        began = time.monotonic()
        request_ids = decode_request_ids(frame) if frame.id_bytes else []
        attempt = Attempt(self._function, Inputs(frame, self._input_type), frame, self._tracebacks, request_ids)
        outcomes = attempt.outcomes() if frame.items else []
        size = sum(len(data) for _, data in outcomes)
        if size > _MAX_OUTPUTS:
            text = f"the outputs of this batch take {size} bytes, over the limit of {_MAX_OUTPUTS}: return less"
            outcomes, attempt.errors = [failure(text)] * len(outcomes), len(outcomes)
        worked = time.monotonic() - began
        self.metrics.record(frame.items, received_in, attempt.parsing, worked - attempt.parsing, received_in + worked)
        self.metrics.errors += attempt.errors
        if self._logs_batches:
            _note(outcomes, worked, [each for each in request_ids if each])
        return encode_outcomes(frame.batch_id, outcomes, int(worked * 1e6))


def _note(outcomes: list[Outcome], seconds: float, names: list[str]) -> None:
    count, failed = len(outcomes), sum(not ok for ok, _ in outcomes)
    text = f"Answered a batch of {count} in {seconds * 1000:.2f} ms, {failed} failed{shown_ids(names)}"
    log(text, "debug", queries=count, failed=failed, seconds=round(seconds, 6), request_ids=names)


class Attempt:
    """Answers one batch. When the function raises, halves find the culprits, so that their neighbours are answered.

    The search lasts at most the batch's budget; then what is left of the failing part gets the error it was in.
    """

    def __init__(
        self,
        function: Function,
        inputs: Inputs,
        frame: Frame,
        tracebacks: TracebackLog,
        request_ids: Sequence[str] = (),
    ) -> None:
        self._function = function
        self._inputs = inputs
        self._payload = frame.payload
        # The function may write into its inputs before it raises, and must see them unspoilt when asked again.
        self._original = bytes(frame.payload) if len(inputs) > 1 else b""
        self._give_up = time.monotonic() + (frame.budget_micros / 1e6 or _DEFAULT_BUDGET)
        self._tracebacks = tracebacks
        self._request_ids = request_ids
        self.parsing = 0.0
        """Seconds in which inputs were made of the message."""
        self.errors = 0
        """How many of the outcomes are errors: counted where they arise, as most batches have none."""

    def outcomes(self) -> list[Outcome]:
        return self._predict(0, len(self._inputs))

    def _predict(self, first: int, end: int) -> list[Outcome]:
        count = end - first
        try:
            return encode_outputs(self._call(first, end), count, self._note_error)
        except OutputError as error:
            return self._fail(failure(str(error)), count)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() in a model, too, fails its query and not the container
            self._tracebacks.write(error, count, time.monotonic(), self._request_ids[first:end])
            failed = failure(_describe(error))
        if count == 1:
            return self._fail(failed, 1)
        middle = (first + end) // 2
        return self._retry(first, middle, failed) + self._retry(middle, end, failed)

    def _call(self, first: int, end: int) -> object:
        """What the function returns. A child that it forked comes back here, too, and ends: the answer is ours."""
        began = time.monotonic()
        inputs, process = self._inputs.part(first, end), os.getpid()
        CURRENT.set(self._request_ids[first:end], end - first)
        self.parsing += time.monotonic() - began
        try:
            return self._function(inputs)
        finally:
            if os.getpid() != process:
                _end_child(sys.exc_info()[1])

    def _retry(self, first: int, end: int, failed: Outcome) -> list[Outcome]:
        if time.monotonic() > self._give_up:
            return self._fail(failed, end - first)
        self._payload[:] = self._original
        return self._predict(first, end)

    def _fail(self, failed: Outcome, count: int) -> list[Outcome]:
        self.errors += count
        return [failed] * count

    def _note_error(self) -> None:
        self.errors += 1


def _end_child(error: BaseException | None) -> NoReturn:
    """Ends a forked process with the status it would have had; what runs at exit is for its parent to run."""
    if error is None:
        os._exit(0)
    if isinstance(error, SystemExit):
        os._exit(error.code & 0xFF if isinstance(error.code, int) else bool(error.code))
    log(f"A process that the model forked raised:\n{format_traceback(error)}", "error")
    os._exit(1)


def _describe(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "(its text can't be read: its __str__ raised)"
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= _MAX_ERROR_TEXT else text[:_MAX_ERROR_TEXT] + "..."
