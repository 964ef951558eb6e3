"""Queries from Python, the same that any application would send over REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clipper_admin import payload
from clipper_admin.exceptions import ClipperException
from clipper_admin.names import version_text
from clipper_admin.session import Session


class Predictions(Session):
    """The calls an application would make; all of them need a connection and raise ``ClipperException``."""

    def predict(
        self,
        app_name: str,
        input: Any,  # noqa: A002
        user_id: str | int | None = None,
        version: str | int | None = None,
    ) -> dict[str, Any]:
        """Asks one question: ``{"query_id", "output", "default"}``, and why if ``default`` is true.

        Args:
            app_name: the application asked.
            input: a list or array of numbers, a str, or bytes, as the application's input type says. For an
                application of ``bytes`` a uint8 array is as good as its bytes. Bytes, and arrays of just the
                application's type (float64, float32, int32), travel as they are, NaN included; others as JSON.
            user_id: for whom; selects this user's own state where the application's policy keeps one.
            version: the version of the linked model to ask instead of the current one.

        Raises:
            ClipperException: the query was refused (the text says why), or nobody answered.
        """
        fields = _fields(user_id, version)

        def ask(input_type: str) -> Any:
            if payload.kind_of(input) == input_type:
                body, content_type = payload.binary(input), f"{payload.OCTETS}; type={input_type}"
                return self.frontends.predict_binary(app_name, body, content_type, fields)
            value = payload.for_application(input, app_name, input_type)
            return self.frontends.predict(app_name, {"input": value, **fields})

        if payload.kind_of(input) is None and not payload.is_raw(input):
            answer: dict[str, Any] = self.frontends.predict(app_name, {"input": input, **fields})
        else:
            answer = self._ask_typed(app_name, ask)
        return answer

    def predict_batch(
        self, app_name: str, inputs: Any, user_id: str | int | None = None, version: str | int | None = None
    ) -> list[dict[str, Any]]:
        """Asks many questions in one request; the answers as ``predict`` gives them, in the order of ``inputs``."""
        batch = payload.as_batch(inputs)
        fields = _fields(user_id, version)

        def ask(input_type: str) -> Any:
            if payload.kind_of_all(batch) == input_type:
                body, content_type = payload.binary_batch(batch), f"{payload.BATCH}; type={input_type}"
                return self.frontends.predict_binary(app_name, body, content_type, fields)
            values = [payload.for_application(each, app_name, input_type) for each in batch]
            return self.frontends.predict(app_name, {"input_batch": values, **fields})

        if payload.kind_of_all(batch) is None and not payload.is_raw(batch):
            answer = self.frontends.predict(app_name, {"input_batch": batch, **fields})
        else:
            answer = self._ask_typed(app_name, ask)
        answers: list[dict[str, Any]] = answer["batch_predictions"]
        return answers

    def _as_json_input(self, app_name: str, value: Any) -> Any:
        """An input as it stands in the JSON of a request to an application."""
        if not payload.is_raw(value):
            return value
        return payload.for_application(value, app_name, self._input_type(app_name))

    def _ask_typed(self, app_name: str, ask: Callable[[str], Any]) -> Any:
        """``ask`` with the application's input type: the one of the last time, if it still is that."""
        known = self.frontends.input_types.get(app_name)
        if known is not None:
            try:
                return ask(known)
            except ClipperException:
                now = self._input_type(app_name)
                if now == known:
                    raise
                return ask(now)
        return ask(self._input_type(app_name))

    def _input_type(self, app_name: str) -> str:
        """Asked only for inputs that mean different things to different applications."""
        app = self.frontends.admin_json("get_application", name=app_name)
        if not app:
            return "bytes"  # the frontend's answer says that there is none
        self.frontends.input_types[app_name] = input_type = str(app["input_type"])
        return input_type


def _fields(user_id: str | int | None, version: str | int | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if user_id is not None:
        fields["user_id"] = user_id
    if version is not None:
        fields["version"] = version_text(version)
    return fields
