"""The applications, links and versions a frontend serves: a live view of the registry."""

from __future__ import annotations

import logging

from clipper.errors import ClipperError, QueryProcessingError
from clipper.execution.model import ModelSettings
from clipper.fragments import as_fragment
from clipper.selection.learning import Teaching
from clipper.selection.policies import DRAW_ONE, POLICY_NAMES, make_policy
from clipper.selection.policy import SelectionPolicy
from clipper.selection.unusable import Unusable
from clipper.types import Application, ModelVersion, Registry

log = logging.getLogger(__name__)

IDLE_SLO = 0.1
"""Seconds: what batches are sized for while no application is linked to a model."""


class AppView:
    """One application, ready to serve: its record, the versions its links now lead to, and its policy.

    ``ensemble``: whether more than one model is linked, so that answers tell which models they are made of.
    ``draws_one``: whether the policy asks one model and answers what it says, and no shadow is to be asked beside it.
    ``escalates``: whether its policy may ask more models once it has heard those it asked.
    ``selects``: whether queries go through the policy, and are kept for feedback; else they go to the one model.
    """

    __slots__ = (
        "application",
        "confidence_threshold",
        "default_fragment",
        "draws_one",
        "ensemble",
        "epoch",
        "escalates",
        "has_feedback",
        "keeps_input",
        "learns",
        "linked",
        "models",
        "policy",
        "selects",
        "shadows",
        "slo",
        "teaching",
    )

    def __init__(self, application: Application) -> None:
        self.application = application
        self.slo = application.latency_slo_micros / 1e6
        self.default_fragment = as_fragment(application.default_output)
        self.confidence_threshold = application.confidence_threshold
        self.policy = _policy_of(application)
        self.epoch = application.policy_epoch
        self.teaching = Teaching(application.name, self.policy, self.epoch, application.input_type)
        self.learns = self.policy.learns
        self.keeps_input = self.policy.contextual
        self.escalates = application.selection_policy not in POLICY_NAMES or application.selection_policy == "cascade"
        self.linked: tuple[str, ...] = ()
        self.models: tuple[ModelVersion, ...] = ()
        self.shadows: tuple[ModelVersion, ...] = ()
        self.ensemble = False
        self.has_feedback = False
        self.selects = False
        self.draws_one = False

    @property
    def name(self) -> str:
        return self.application.name

    def follow(
        self, linked: tuple[str, ...], models: tuple[ModelVersion, ...], shadows: tuple[ModelVersion, ...]
    ) -> None:
        """Takes up the links: ``models`` and ``shadows`` are the current versions of those that have one."""
        self.linked = linked
        self.models = models
        self.shadows = shadows
        self.ensemble = len(linked) > 1
        self._decide_whether_it_selects()

    def note_feedback(self) -> None:
        """The application gets feedback: from now on what is answered is kept for it."""
        self.has_feedback = True
        self._decide_whether_it_selects()

    def _decide_whether_it_selects(self) -> None:
        plain = self.application.selection_policy == "single" and not self.shadows
        self.selects = not plain or self.has_feedback
        self.draws_one = self.application.selection_policy in DRAW_ONE and not self.shadows


def _policy_of(application: Application) -> SelectionPolicy:
    """Its policy; one that can't be had here (a user's own, not installed) costs its own queries alone."""
    try:
        return make_policy(
            application.selection_policy,
            application.policy_params,
            application.loss,
            application.loss_scale,
            application.input_type,
        )
    except ClipperError as error:
        log.error("application %s can't be served: %s", application.name, error.cause)
        return Unusable(error.cause)


class Catalog:
    """Turns each registry it is given into the views that queries are served from."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.apps: dict[str, AppView] = {}

    def apply(self, registry: Registry) -> None:
        """Follows the registry. A view lives as long as its application's record is the same."""
        self.registry = registry
        self.apps = {name: self._view(application) for name, application in registry.applications.items()}
        for name, view in self.apps.items():
            linked, shadows = registry.links.get(name, ()), registry.shadows.get(name, ())
            view.follow(linked, self._current(linked), self._current(shadows))

    def model_settings(self) -> dict[ModelVersion, ModelSettings]:
        """What the executor has to know of each registered version."""
        slos = self._slos()
        return {
            version: ModelSettings(
                registration=model.registration,
                input_type=model.input_type,
                batch_size=model.batch_size,
                slo=slos.get(model.name, IDLE_SLO),
                batching=model.batching,
                batch_delay_micros=model.batch_delay_micros,
            )
            for version, model in self.registry.models.items()
        }

    def versions_of(self, app: AppView, version: str) -> tuple[ModelVersion, ...]:
        """The models to ask when the query names a version.

        Raises:
            QueryProcessingError: nothing or more than one model is linked, or the linked model has no such version.
        """
        if not app.linked:
            raise QueryProcessingError(
                f"Requested version: {version}, but no model is linked to application: {app.name}. "
                "Link one, or leave the version out"
            )
        if app.ensemble:
            raise QueryProcessingError(
                f"Requested version: {version}, but application: {app.name} is linked to {len(app.linked)} models "
                f"({', '.join(app.linked)}): a version can be asked of an application with one model. "
                "Leave the version out"
            )
        asked = ModelVersion(app.linked[0], version)
        if asked not in self.registry.models:
            raise QueryProcessingError(f"Requested version: {version} does not exist for model: {asked.name}")
        return (asked,)

    def _view(self, application: Application) -> AppView:
        known = self.apps.get(application.name)
        return known if known is not None and known.application == application else AppView(application)

    def _current(self, linked: tuple[str, ...]) -> tuple[ModelVersion, ...]:
        current = self.registry.current_versions
        return tuple([ModelVersion(name, current[name]) for name in linked if name in current])

    def _slos(self) -> dict[str, float]:
        slos: dict[str, float] = {}
        for view in self.apps.values():
            for model in (*view.linked, *(shadow.name for shadow in view.shadows)):
                slos[model] = min(view.slo, slos.get(model, view.slo))
        return slos
