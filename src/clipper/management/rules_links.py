"""Which models an application may be linked to, and which may be its shadows: pure functions on the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from clipper.errors import BadRequest, Conflict, NotFound
from clipper.management.rules import find_model, without
from clipper.types import Application, Registry

SINGLE = "single"
"""The one policy that has room for one link."""

_OR_SEVERAL = (
    ", or let the application have several: set_selection_policy gives it a policy that chooses among models or "
    "combines them, such as majority_vote or hedge; as a shadow a model needs no such policy."
)


def add_model_links(registry: Registry, app_name: str, model_names: Sequence[str], shadow: bool = False) -> Registry:
    """Lets an application ask the current versions of models, of which it must have the input type.

    With ``shadow`` they are asked and scored beside those that answer, and never answered from.
    """
    application = registry.applications.get(app_name)
    if application is None:
        raise NotFound(f"No app with name '{app_name}' exists.")
    for model_name in model_names:
        _check_linkable(registry, application, model_name)
    linked, shadows = registry.links.get(app_name, ()), registry.shadows.get(app_name, ())
    _check_new(app_name, linked, shadows, model_names)
    if shadow:
        return replace(registry, shadows={**registry.shadows, app_name: (*shadows, *model_names)})
    _check_room(application, linked, model_names)
    return replace(registry, links={**registry.links, app_name: (*linked, *model_names)})


def delete_model_links(registry: Registry, app_name: str, model_names: Sequence[str]) -> Registry:
    """Removes all of the links, shadows or not, or none if one of them is not there."""
    if app_name not in registry.applications:
        raise NotFound(f"No app with name {app_name} exists.")
    there = models_of(registry, app_name)
    for model_name in model_names:
        if model_name not in there:
            raise NotFound(f"Cannot remove nonexistent link between app {app_name} and model {model_name}")
    return replace(
        registry,
        links=_without_some(registry.links, app_name, model_names),
        shadows=_without_some(registry.shadows, app_name, model_names),
    )


def models_of(registry: Registry, app_name: str) -> tuple[str, ...]:
    """The models that are linked to an application, and then its shadows."""
    return (*registry.links.get(app_name, ()), *registry.shadows.get(app_name, ()))


def _without_some(
    links: Mapping[str, tuple[str, ...]], app_name: str, model_names: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    kept = tuple(name for name in links.get(app_name, ()) if name not in model_names)
    others = without(links, app_name)
    return {**others, app_name: kept} if kept else others


def _check_linkable(registry: Registry, application: Application, model_name: str) -> None:
    model = find_model(registry, model_name, None)
    if model.input_type != application.input_type:
        raise BadRequest(
            f"Model with name '{model_name}' has incompatible input_type '{model.input_type}'. "
            f"Requested app to link to has input_type '{application.input_type}'."
        )


def _check_new(app_name: str, linked: Sequence[str], shadows: Sequence[str], added: Sequence[str]) -> None:
    """A model is at most once with an application, linked or as a shadow."""
    if not added:
        raise BadRequest(
            f"Please provide the name of the model that you want to link to the application '{app_name}'"
        )
    for position, name in enumerate(added):
        if name in linked:
            raise Conflict(f"The model with name '{name}' is already linked to '{app_name}'")
        if name in shadows:
            raise Conflict(
                f"The model with name '{name}' is already linked to '{app_name}' as a shadow. Unlink it first, or "
                "promote it"
            )
        if name in added[:position]:
            raise BadRequest(f"The model with name '{name}' is named twice: name it once")


def _check_room(application: Application, linked: Sequence[str], added: Sequence[str]) -> None:
    """The policy 'single' has room for one link, as it asks one model."""
    if application.selection_policy != SINGLE:
        return
    if len(added) > 1:
        raise BadRequest(
            "Applications must be linked with at most one model. "
            f"Attempted to add links to {len(added)} models. Link one of them{_OR_SEVERAL}"
        )
    if linked:
        raise Conflict(
            f"A model with name {linked[0]} is already linked to '{application.name}'. "
            f"Unlink that one first{_OR_SEVERAL}"
        )
