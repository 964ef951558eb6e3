"""Applications and models that may be registered: pure functions from one registry to the next, or to an error.

Errors raised are BadRequest (the request contradicts itself or what is registered), NotFound (something it names is
not there) and Conflict (it is there already).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from clipper.errors import BadRequest, Conflict, NotFound
from clipper.management.checks import canonical_input_type, check_application, check_model
from clipper.types import Application, Model, ModelVersion, Registry

K = TypeVar("K")
V = TypeVar("V")


def add_app(registry: Registry, application: Application) -> Registry:
    """Registers an application; its ``input_type`` may be an alias.

    The record's ``policy_epoch`` is the revision that the store gives to the registry returned.
    """
    input_type = canonical_input_type(application.input_type)
    application = replace(application, input_type=input_type, policy_epoch=registry.revision + 1)
    check_application(application)
    if application.name in registry.applications:
        raise Conflict(f"application '{application.name}' already exists")
    return replace(registry, applications={**registry.applications, application.name: application})


def delete_app(registry: Registry, name: str) -> Registry:
    """Removes an application, its links and its shadows; models stay."""
    if name not in registry.applications:
        raise NotFound(f"Application '{name}' does not exist")
    return replace(
        registry,
        applications=without(registry.applications, name),
        links=without(registry.links, name),
        shadows=without(registry.shadows, name),
    )


def add_model(registry: Registry, model: Model) -> Registry:
    """Registers a version of a model, which becomes the current one; its ``input_type`` may be an alias.

    The record's ``registration`` is the revision that the store gives to the registry returned.
    """
    input_type = canonical_input_type(model.input_type)
    model = replace(model, input_type=input_type, registration=registry.revision + 1)
    check_model(model)
    if model.id in registry.models:
        raise Conflict(f"model with name '{model.name}' and version '{model.version}' already exists")
    _check_linked_apps(registry, model)
    return replace(
        registry,
        models={**registry.models, model.id: model},
        current_versions={**registry.current_versions, model.name: model.version},
    )


def set_model_version(registry: Registry, model_name: str, model_version: str) -> Registry:
    """Makes a registered version the current one."""
    if not _has_versions(registry, model_name):
        raise NotFound(f"Cannot set version for nonexistent model '{model_name}'")
    model = registry.models.get(ModelVersion(model_name, model_version))
    if model is None:
        raise NotFound(f"Cannot set non-existent version '{model_version}' for model with name '{model_name}'")
    _check_linked_apps(registry, model)
    return replace(registry, current_versions={**registry.current_versions, model_name: model_version})


def set_batching(
    registry: Registry, model_name: str, model_version: str | None, changes: Mapping[str, object]
) -> Registry:
    """Changes ``batch_size``, ``batching`` or ``batch_delay_micros`` of a version: of the current one, if None.

    The version stays the registration that it was, so that its replicas and what is cached of it stay, too.
    """
    if not changes:
        raise BadRequest("Nothing to set: give batch_size, batching or batch_delay_micros")
    model = find_model(registry, model_name, model_version)
    changed = replace(model, **changes)
    check_model(changed)
    return replace(registry, models={**registry.models, model.id: changed})


def delete_versioned_model(registry: Registry, model_name: str, model_version: str) -> Registry:
    """Removes one version of a model; links to the model stay.

    If it is the current version the model has none from then on, until one is set or registered: its applications
    answer their default output (``no_model``), for to serve an older version unasked would be a surprise.
    """
    deleted = ModelVersion(model_name, model_version)
    if deleted not in registry.models:
        raise NotFound(f"model with name '{model_name}' and version '{model_version}' does not exist")
    current = registry.current_versions
    if current.get(model_name) == model_version:
        current = without(current, model_name)
    return replace(registry, models=without(registry.models, deleted), current_versions=current)


def current_model(registry: Registry, model_name: str) -> Model | None:
    """The version of a model that answers queries which name none."""
    version = registry.current_versions.get(model_name)
    return None if version is None else registry.models.get(ModelVersion(model_name, version))


def find_application(registry: Registry, app_name: str) -> Application:
    if app_name not in registry.applications:
        raise NotFound(f"No application with name '{app_name}' exists.")
    return registry.applications[app_name]


def find_model(registry: Registry, model_name: str, model_version: str | None) -> Model:
    """A version of a model: the current one, if None."""
    if not _has_versions(registry, model_name):
        raise NotFound(f"No model with name '{model_name}' exists.")
    if model_version is not None:
        found = registry.models.get(ModelVersion(model_name, model_version))
        if found is None:
            raise NotFound(f"model with name '{model_name}' and version '{model_version}' does not exist")
        return found
    current = current_model(registry, model_name)
    if current is None:
        raise Conflict(
            f"Model with name '{model_name}' has no current version, for it was deleted. Set or register one first."
        )
    return current


def _check_linked_apps(registry: Registry, model: Model) -> None:
    for app_name, names in (*registry.links.items(), *registry.shadows.items()):
        app_type = registry.applications[app_name].input_type
        if model.name in names and app_type != model.input_type:
            raise BadRequest(
                f"Model with name '{model.name}' is already linked to app '{app_name}' using input type "
                f"'{app_type}'. The input type you provided for a new version of the model, '{model.input_type}', "
                "is not compatible."
            )


def _has_versions(registry: Registry, model_name: str) -> bool:
    return any(model.name == model_name for model in registry.models)


def without(mapping: Mapping[K, V], key: K) -> dict[K, V]:
    return {each: value for each, value in mapping.items() if each != key}
