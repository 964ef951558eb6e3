"""How applications choose among their models and learn from feedback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipper_admin.exceptions import ClipperException
from clipper_admin.predictions import Predictions

if TYPE_CHECKING:
    import os


class Selection(Predictions):
    """The calls about policies and feedback; all of them need a connection and raise ``ClipperException``."""

    def set_selection_policy(
        self,
        app_name: str,
        policy: str,
        params: Mapping[str, object] | None = None,
        confidence_threshold: float | None = None,
        loss: str | None = None,
        loss_scale: float | None = None,
    ) -> None:
        """Gives an application another policy, at once; of the last three what is None stays as it is.

        What was learned is kept only if the policy, its parameters, the loss and its scale are those of before.

        Args:
            app_name: the application.
            policy: as ``selection_policy`` of ``register_application``.
            params: of the policy; those not given have their defaults, whatever they were.
            confidence_threshold: below it the default output is answered.
            loss: how a label is turned into a loss.
            loss_scale: the error of a number whose loss is 1.
        """
        given = {"params": params, "confidence_threshold": confidence_threshold, "loss": loss}
        given["loss_scale"] = loss_scale
        self.frontends.admin("set_selection_policy", app_name=app_name, policy=policy, **_those_given(given))
        self.logger.info("Application %s now has the selection policy %s", app_name, policy)

    def get_selection_state(self, app_name: str, user_id: str | int | None = None) -> dict[str, Any]:
        """What an application has learned of feedback: for everybody, or for one user.

        ``weights`` says how far each model is trusted, ``scores`` how often each version was scored and its mean
        loss, ``feedbacks`` how many feedbacks that is of; ``state`` is all that the policy keeps.
        """
        fields = _those_given({"user_id": user_id})
        state: dict[str, Any] = self.frontends.admin_json("get_selection_state", app_name=app_name, **fields)
        return state

    def promote_model(self, app_name: str, model_name: str | None = None) -> str:
        """Ends a choice: one model answers alone from now on, and all others of the application are unlinked.

        Args:
            app_name: the application.
            model_name: one of its models, linked or a shadow; None is the one with the least mean loss.

        Returns:
            The name of the model.
        """
        fields = _those_given({"model_name": model_name})
        promoted = str(self.frontends.admin_json("promote_model", app_name=app_name, **fields)["model_name"])
        self.logger.info("Model %s now answers alone for application %s", promoted, app_name)
        return promoted

    def delete_user_state(self, user_id: str | int, app_name: str | None = None) -> None:
        """Forgets a user: what was learned of him, and his name with his feedback; in all applications, if None."""
        if user_id is None:
            raise ClipperException("user_id is None, which names nobody: give the id that the queries are sent with")
        fields = _those_given({"app_name": app_name})
        self.logger.info("%s", self.frontends.admin("delete_user_state", user_id=user_id, **fields))

    def send_feedback(
        self,
        app_name: str,
        label: Any = None,
        query_id: int | None = None,
        input: Any = None,  # noqa: A002
        user_id: str | int | None = None,
        loss: float | Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """Tells what the answer to a query should have been, or how bad it was.

        Args:
            app_name: the application that was asked.
            label: the right output.
            query_id: that of the answer, within the hour.
            input: of the query, where its id is not known.
            user_id: for whom; selects this user's own state where the application's policy keeps one.
            loss: in place of a label, from 0 (right) to 1: of the answer, or of each model by its name.

        Returns:
            ``{"accepted": True, "query_id", "losses": {"name:version": x}}``, or ``{"accepted": False, "duplicate":
            True}`` if the query has had feedback.
        """
        _check_feedback(label, loss, query_id, input)
        fields = _those_given({"label": label, "loss": loss, "query_id": query_id, "user_id": user_id})
        if input is not None:
            fields["input"] = self._as_json_input(app_name, input)
        answer: dict[str, Any] = self.frontends.update(app_name, fields)
        return answer

    def export_feedback(self, app_name: str, path: str | os.PathLike[str]) -> int:
        """Writes all feedback of an application into a file, in its order.

        Args:
            app_name: the application.
            path: a file of JSON Lines, or of Parquet if it ends in ``.parquet`` (that takes pyarrow).

        Returns:
            How many feedbacks there are.
        """
        from clipper_admin.feedback_file import write_feedback  # with what it needs, for those who need it

        return write_feedback(Path(path), self.frontends.feedback(app_name))


def _check_feedback(label: object, loss: object, query_id: object, value: object) -> None:
    if label is None and loss is None:
        raise ClipperException(
            "Feedback without a label and without a loss says nothing: give label, what the answer should have been, "
            "or loss, how bad it was from 0 to 1"
        )
    if label is not None and loss is not None:
        raise ClipperException(
            "Feedback has a label or a loss, not both: the loss of a label is computed, leave loss out"
        )
    if query_id is None and value is None:
        raise ClipperException(
            "Feedback is about a query: give query_id, which is in the answer of predict, or the input that was asked"
        )
    if query_id is not None and value is not None:
        raise ClipperException("Feedback names its query by query_id or by input, not by both: leave input out")


def _those_given(fields: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
