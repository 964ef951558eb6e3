"""Applications and the models linked to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipper_admin.exceptions import ClipperException
from clipper_admin.session import Session


class Applications(Session):
    """The calls about applications; all of them need a connection and raise ``ClipperException``."""

    def register_application(
        self,
        name: str,
        input_type: str,
        default_output: str,
        slo_micros: int,
        selection_policy: str = "single",
        policy_params: Mapping[str, object] | None = None,
        confidence_threshold: float = 0.0,
        loss: str = "zero_one",
    ) -> None:
        """Makes ``/<name>/predict`` answer.

        Args:
            name: of the application.
            input_type: integers, floats, doubles, bytes or strings.
            default_output: answered when no model's output is there in time; JSON in it is sent as JSON.
            slo_micros: microseconds from the arrival of a query to its answer.
            selection_policy: ``single``, the one linked model answers, or ``majority_vote``, what most of the linked
                models say.
            policy_params: of the policy; these two have none.
            confidence_threshold: below it the default output is answered.
            loss: how feedback is turned into a loss.
        """
        frontends = self.frontends
        if not isinstance(default_output, str):
            raise ClipperException(
                f"default_output must be a str, not {default_output!r} of type {type(default_output).__name__}: "
                "write it as JSON (for example default_output='-1.0'); it is sent as JSON if it parses"
            )
        selection: dict[str, object] = {"selection_policy": selection_policy, "policy_params": policy_params}
        selection |= {"confidence_threshold": confidence_threshold, "loss": loss}
        unset = {"selection_policy": "single", "policy_params": None, "confidence_threshold": 0.0, "loss": "zero_one"}
        frontends.admin(
            "add_app",
            name=name,
            input_type=input_type,
            default_output=default_output,
            latency_slo_micros=slo_micros,
            **{field: value for field, value in selection.items() if value != unset[field]},
        )
        self.logger.info("Application %s was successfully registered", name)

    def unregister_application(self, name: str) -> None:
        """Ends an application; its models stay."""
        self.frontends.admin("delete_app", name=name)
        self.logger.info("Application %s was successfully unregistered", name)

    def delete_application(self, name: str) -> None:
        """The old name of ``unregister_application``."""
        self.logger.warning("[DEPRECATED] Use 'unregister_application' API instead of this.")
        self.unregister_application(name)

    def link_model_to_app(self, app_name: str, model_name: str) -> None:
        """Lets the current version of a model, whichever it is in future, answer an application's queries.

        An application whose policy combines several models is linked to each of them.
        """
        self.frontends.admin("add_model_links", app_name=app_name, model_names=[model_name])
        self.logger.info("Model %s is now linked to application %s", model_name, app_name)

    def unlink_model_from_app(self, app_name: str, model_name: str) -> None:
        """Undoes ``link_model_to_app``."""
        self.frontends.admin("delete_model_links", app_name=app_name, model_names=[model_name])
        self.logger.info("Model %s is now removed to application %s", model_name, app_name)

    def get_all_apps(self, verbose: bool = False) -> list[Any]:
        """The names of all applications, or with ``verbose`` a dict of each."""
        apps: list[Any] = self.frontends.admin_json("get_all_applications", verbose=verbose)
        return apps

    def get_app_info(self, name: str) -> dict[str, Any] | None:
        """What was registered and what is linked; None if there is no such application."""
        info: dict[str, Any] = self.frontends.admin_json("get_application", name=name)
        if not info:
            self.logger.warning("Application %s is not registered with Clipper", name)
        return info or None

    def get_linked_models(self, app_name: str) -> list[str]:
        """The names of all models linked to an application, in the order of the links."""
        names: list[str] = self.frontends.admin_json("get_linked_models", app_name=app_name)
        return names
