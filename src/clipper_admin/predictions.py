"""Queries from Python, the same that any application would send over REST."""

from __future__ import annotations

from typing import Any

from clipper_admin.names import version_text
from clipper_admin.payload import as_batch, for_application, is_raw
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
                application of ``bytes`` a uint8 array is as good as its bytes.
            user_id: for whom; selects this user's own state where the application's policy keeps one.
            version: the version of the linked model to ask instead of the current one.

        Raises:
            ClipperException: the query was refused (the text says why), or nobody answered.
        """
        if is_raw(input):
            input = for_application(input, app_name, self._input_type(app_name))  # noqa: A001
        answer: dict[str, Any] = self.frontends.predict(app_name, _query({"input": input}, user_id, version))
        return answer

    def predict_batch(
        self, app_name: str, inputs: Any, user_id: str | int | None = None, version: str | int | None = None
    ) -> list[dict[str, Any]]:
        """Asks many questions in one request; the answers as ``predict`` gives them, in the order of ``inputs``."""
        batch = as_batch(inputs)
        if is_raw(batch):
            input_type = self._input_type(app_name)
            batch = [for_application(each, app_name, input_type) for each in batch]
        fields = {"input_batch": batch}
        answers: list[dict[str, Any]] = self.frontends.predict(app_name, _query(fields, user_id, version))[
            "batch_predictions"
        ]
        return answers

    def _input_type(self, app_name: str) -> str:
        """Asked only for inputs that mean different things to different applications."""
        app = self.frontends.admin_json("get_application", name=app_name)
        return str(app["input_type"]) if app else "bytes"  # the frontend's answer says that there is none


def _query(fields: dict[str, Any], user_id: str | int | None, version: str | int | None) -> dict[str, Any]:
    if user_id is not None:
        fields["user_id"] = user_id
    if version is not None:
        fields["version"] = version_text(version)
    return fields
