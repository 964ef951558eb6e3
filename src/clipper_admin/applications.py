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
        loss_scale: float = 1.0,
    ) -> None:
        """Makes ``/<name>/predict`` answer.

        Args:
            name: of the application.
            input_type: integers, floats, doubles, bytes or strings.
            default_output: answered when no model's output is there in time; JSON in it is sent as JSON.
            slo_micros: microseconds from the arrival of a query to its answer.
            selection_policy: how linked models are chosen and combined: ``single``, the one linked model answers;
                ``split``, ``epsilon_greedy``, ``ucb1``, ``thompson``, ``exp3``, ``exp3_ix`` and ``linucb``, one of
                several does; ``majority_vote``, ``mean``, ``exp4``, ``hedge`` and ``cascade``, several together; or
                the import path of a policy of your own, ``package.module:Class``.
            policy_params: of the policy; those not given have their defaults.
            confidence_threshold: from 0 to 1; below it the default output is answered.
            loss: how a label is turned into a loss: ``zero_one``, or for numbers ``absolute`` or ``squared``.
            loss_scale: the error of a number whose loss is 1.
        """
        frontends = self.frontends
        if not isinstance(default_output, str):
            raise ClipperException(
                f"default_output must be a str, not {default_output!r} of type {type(default_output).__name__}: "
                "write it as JSON (for example default_output='-1.0'); it is sent as JSON if it parses"
            )
        selection: dict[str, object] = {"selection_policy": selection_policy, "policy_params": policy_params}
        selection |= {"confidence_threshold": confidence_threshold, "loss": loss, "loss_scale": loss_scale}
        unset: dict[str, object] = {"selection_policy": "single", "policy_params": None, "confidence_threshold": 0.0}
        unset |= {"loss": "zero_one", "loss_scale": 1.0}
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

    def link_model_to_app(self, app_name: str, model_name: str, shadow: bool = False) -> None:
        """Lets the current version of a model, whichever it is in future, answer an application's queries.

        An application whose policy chooses among several models or combines them is linked to each of them. A
        ``shadow`` is asked and scored beside those that answer, and never answered from; any application may have
        some.
        """
        as_shadow = {"shadow": True} if shadow else {}
        self.frontends.admin("add_model_links", app_name=app_name, model_names=[model_name], **as_shadow)
        what = "a shadow of" if shadow else "linked to"
        self.logger.info("Model %s is now %s application %s", model_name, what, app_name)

    def unlink_model_from_app(self, app_name: str, model_name: str) -> None:
        """Undoes ``link_model_to_app``, of a shadow, too."""
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
