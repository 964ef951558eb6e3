"""The endpoints below ``/admin`` that are about how applications choose among their models, and what they learned."""

from __future__ import annotations

import json
from typing import Final

from fastapi import APIRouter

from clipper.management import requests, rules_selection
from clipper.management.answers import PromotionAnswer, SelectionStateAnswer
from clipper.management.checks import policy_of
from clipper.management.learned import describe_picture, learned_of, score_of_models
from clipper.management.routes import ERRORS, Archive, Desk, commit, text
from clipper.management.routes_feedback import user_text
from clipper.management.rules import find_application

router: Final = APIRouter(prefix="/admin", responses=ERRORS, tags=["admin"])


@router.post("/set_selection_policy", **text("Successfully set selection policy of application 'hello-world'"))
def set_selection_policy(body: requests.SelectionPolicy, registrar: Desk) -> str:
    """Gives an application another policy, at once and without a restart.

    What was learned is forgotten, unless the policy, its parameters, the loss and its scale are those of before.
    """
    return commit(
        registrar,
        lambda registry: rules_selection.set_selection_policy(registry, body.app_name, body.changes()),
        f"Successfully set selection policy of application '{body.app_name}'",
    )


@router.post("/promote_model")
def promote_model(body: requests.Promotion, registrar: Desk, archive: Archive) -> PromotionAnswer:
    """Ends a choice: one model, linked or a shadow, answers alone from now on, and the others are unlinked.

    Without `model_name` it is the one whose current version has the least mean loss in the feedback so far.
    """
    name = body.model_name
    if name is None:
        registry = registrar.read()
        scores = score_of_models(registry, archive, body.app_name)
        name = rules_selection.best_model(registry, body.app_name, scores)
    commit(
        registrar,
        lambda registry: rules_selection.promote_model(registry, body.app_name, name),
        f"Successfully promoted model with name '{name}' in application '{body.app_name}'",
    )
    return PromotionAnswer(app_name=body.app_name, model_name=name)


@router.post("/get_selection_state")
def get_selection_state(body: requests.SelectionState, registrar: Desk, archive: Archive) -> SelectionStateAnswer:
    """What an application has learned of its feedback: for everybody, or for a user of it."""
    user = "" if body.user_id is None else user_text(body.user_id)
    registry = registrar.read()
    application = find_application(registry, body.app_name)
    linked = registry.links.get(body.app_name, ())
    return describe_picture(application, user, learned_of(archive, application, linked, user))


@router.post("/get_state", **text("-1.0"))
def get_state(body: requests.State, registrar: Desk, archive: Archive) -> str:
    """How far an application trusts its models for a user, as JSON text; its default output if it does not learn."""
    registry = registrar.read()
    application = find_application(registry, body.app_name)
    if not policy_of(application).learns:
        return application.default_output
    linked = registry.links.get(body.app_name, ())
    picture = learned_of(archive, application, linked, user_text(body.uid))
    return json.dumps(picture.weights, ensure_ascii=False)
