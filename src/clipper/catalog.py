"""The applications, links and versions a frontend serves: a live view of the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clipper.errors import QueryProcessingError
from clipper.execution.model import ModelSettings
from clipper.fragments import as_fragment
from clipper.selection.policy import SelectionPolicy
from clipper.selection.single import Single
from clipper.selection.vote import MajorityVote
from clipper.types import Application, ModelVersion, Registry

IDLE_SLO = 0.1
"""Seconds: what batches are sized for while no application is linked to a model."""

POLICIES: dict[str, Callable[[], SelectionPolicy]] = {"single": Single, "majority_vote": MajorityVote}


class AppView:
    """One application, ready to serve: its record, the versions its links now lead to, its policy and state.

    ``ensemble``: whether more than one model is linked, so that answers tell which models they are made of.
    """

    __slots__ = ("application", "default_fragment", "ensemble", "linked", "models", "policy", "slo", "state")

    def __init__(self, application: Application) -> None:
        self.application = application
        self.slo = application.latency_slo_micros / 1e6
        self.default_fragment = as_fragment(application.default_output)
        self.policy = POLICIES[application.selection_policy]()
        self.linked: tuple[str, ...] = ()
        self.models: tuple[ModelVersion, ...] = ()
        self.ensemble = False
        self.state: Any = self.policy.init(())

    @property
    def name(self) -> str:
        return self.application.name

    def follow(self, linked: tuple[str, ...], models: tuple[ModelVersion, ...]) -> None:
        """Takes up the links: ``models`` are the current versions of those that have one."""
        self.models = models
        if linked != self.linked:
            self.linked = linked
            self.ensemble = len(linked) > 1
            self.state = self.policy.init(linked)


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
            linked = registry.links.get(name, ())
            view.follow(linked, tuple(self._current(linked)))

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

    def _current(self, linked: tuple[str, ...]) -> list[ModelVersion]:
        current = self.registry.current_versions
        return [ModelVersion(name, current[name]) for name in linked if name in current]

    def _slos(self) -> dict[str, float]:
        slos: dict[str, float] = {}
        for view in self.apps.values():
            for model in view.linked:
                slos[model] = min(view.slo, slos.get(model, view.slo))
        return slos
