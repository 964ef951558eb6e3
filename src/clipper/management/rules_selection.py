"""How an application may choose among its models and combine them: pure functions on the registry."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from clipper.errors import Conflict, NotFound
from clipper.management.checks import check_selection
from clipper.management.rules import find_application, find_model, without
from clipper.management.rules_links import SINGLE, models_of
from clipper.types import Application, Registry

ENOUGH = 30
"""How many scored feedbacks the best model must have to be promoted without being named."""


def set_selection_policy(registry: Registry, app_name: str, changes: Mapping[str, object]) -> Registry:
    """Changes fields of an application that say how it chooses: those that are in ``changes``.

    What was learned is kept if it is still of use: the application gets a new ``policy_epoch`` only if its policy,
    parameters, loss or loss scale are others than before.
    """
    before = find_application(registry, app_name)
    after = replace(before, **changes)
    check_selection(after)
    linked = registry.links.get(app_name, ())
    if after.selection_policy == SINGLE and len(linked) > 1:
        raise Conflict(
            f"The application '{app_name}' is linked to {len(linked)} models ({', '.join(linked)}), and the policy "
            f"'{SINGLE}' asks one: end the choice with promote_model, or unlink all but one first"
        )
    return _with_application(registry, before, after)


def promote_model(registry: Registry, app_name: str, model_name: str) -> Registry:
    """Lets one of an application's models, linked or a shadow, answer alone from now on: the others are unlinked."""
    before = find_application(registry, app_name)
    there = models_of(registry, app_name)
    if model_name not in there:
        raise NotFound(
            f"The model with name '{model_name}' is neither linked to '{app_name}' nor a shadow of it: link it first"
            + (f", or promote one of {', '.join(there)}" if there else "")
        )
    find_model(registry, model_name, None)
    registry = replace(
        registry,
        links={**registry.links, app_name: (model_name,)},
        shadows=without(registry.shadows, app_name),
    )
    return _with_application(registry, before, replace(before, selection_policy=SINGLE, policy_params={}))


def best_model(registry: Registry, app_name: str, scores: Mapping[str, tuple[int, float]]) -> str:
    """The linked or shadow model with the least mean loss; of equals the one that was linked first.

    ``scores`` are, by model, how often it was scored and its mean loss.

    Raises:
        Conflict: no model of the application was scored yet, or the best one less than ``ENOUGH`` times.
    """
    scored = [name for name in models_of(registry, app_name) if name in scores]
    way_out = "name the model to promote, or wait for more feedback"
    if not scored:
        raise Conflict(f"No feedback has scored a model of application '{app_name}' yet (0 of {ENOUGH}): {way_out}")
    best = min(scored, key=lambda name: scores[name][1])
    count, mean_loss = scores[best]
    if count < ENOUGH:
        raise Conflict(
            f"The model of application '{app_name}' with the least mean loss, '{best}' with {mean_loss:.4g}, was "
            f"scored {count} times, and it takes {ENOUGH} to be sure: {way_out}"
        )
    return best


def _with_application(registry: Registry, before: Application, after: Application) -> Registry:
    if _what_is_learned(after) != _what_is_learned(before):
        after = replace(after, policy_epoch=registry.revision + 1)
    return replace(registry, applications={**registry.applications, after.name: after})


def _what_is_learned(application: Application) -> tuple[object, ...]:
    return (
        application.selection_policy,
        application.policy_params,
        application.loss,
        application.loss_scale,
    )
