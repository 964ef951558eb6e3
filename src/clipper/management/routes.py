"""The endpoints below ``/admin``. They are synchronous: FastAPI runs each in a thread, for the store may block."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse

from clipper.errors import StoreError
from clipper.management import answers, requests, rules, rules_links
from clipper.management.answers import ApplicationAnswer, ContainerAnswer, ErrorAnswer, ModelAnswer, Unknown
from clipper.management.checks import canonical_input_type
from clipper.management.registrar import Registrar
from clipper.management.turns import Turns
from clipper.store.journal import Journal
from clipper.types import ModelVersion, Registry

logger: Final = logging.getLogger(__name__)

_ERROR: Final = {"application/json": {"schema": ErrorAnswer.model_json_schema()}}
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"description": "The request was refused; `cause` says why and what to do", "content": _ERROR},
    "5XX": {"description": "The store, or Clipper itself, failed", "content": _ERROR},
}
router: Final = APIRouter(prefix="/admin", responses=ERRORS, tags=["admin"])


async def get_registrar(request: Request) -> Registrar:
    registrar: Registrar = request.app.state.registrar
    return registrar


async def get_archive(request: Request) -> Turns[Journal]:
    archive: Turns[Journal] = request.app.state.archive
    return archive


Desk = Annotated[Registrar, Depends(get_registrar)]
Archive = Annotated[Turns[Journal], Depends(get_archive)]


def text(example: str) -> dict[str, Any]:
    """The settings of an endpoint that answers with plain text."""
    documented = {200: {"content": {"text/plain": {"example": example}}}}
    return {"response_class": PlainTextResponse, "responses": documented}


def commit(registrar: Registrar, rule: Callable[[Registry], Registry], message: str) -> str:
    """Applies a rule, and logs and returns its message of success."""
    registrar.apply(rule)
    logger.info(message)
    return message


@router.get("/ping", **text("PONG"))
async def ping() -> str:
    return "PONG"


@router.post("/add_app", **text("Successfully added application with name 'hello-world'"))
def add_app(body: requests.AddApp, registrar: Desk) -> str:
    """Registers an application, which is then served at `/{name}/predict` of the query frontends."""
    return commit(
        registrar,
        lambda registry: rules.add_app(registry, body.application()),
        f"Successfully added application with name '{body.name}'",
    )


@router.post("/delete_app", **text("Successfully deleted application with name 'hello-world'"))
def delete_app(body: requests.AppName, registrar: Desk, archive: Archive) -> str:
    """Unregisters an application and its links, and deletes its feedback and what was learned of it."""
    message = commit(
        registrar,
        lambda registry: rules.delete_app(registry, body.name),
        f"Successfully deleted application with name '{body.name}'",
    )
    try:
        with archive.take() as journal:
            journal.forget_app(body.name)
    except StoreError as error:
        raise StoreError(
            f"application '{body.name}' is deleted, but its feedback is not ({error.cause}): register it once more, "
            "and delete it again"
        ) from error
    return message


@router.post(
    "/add_model_links", **text("Successfully linked model with name 'sum-model' to application 'hello-world'")
)
def add_model_links(body: requests.NewLinks, registrar: Desk) -> str:
    """Lets an application ask a model: the version that is current at the time.

    A `shadow` is asked and scored beside those that answer, and never answered from.
    """
    return commit(
        registrar,
        lambda registry: rules_links.add_model_links(registry, body.app_name, body.model_names, body.shadow),
        f"Successfully linked model with name '{', '.join(body.model_names)}' to application '{body.app_name}'",
    )


@router.post("/delete_model_links", **text("Success!"))
def delete_model_links(body: requests.Links, registrar: Desk, archive: Archive) -> str:
    """Removes links of an application to models, shadows or not: all that are named, or none.

    What was learned of these models is forgotten: one that is linked again starts anew.
    """
    registrar.apply(lambda registry: rules_links.delete_model_links(registry, body.app_name, body.model_names))
    try:
        with archive.take() as journal:
            journal.forget_models(body.app_name, body.model_names)
    except StoreError as error:
        raise StoreError(
            f"the models are unlinked from application '{body.app_name}', but what was learned of them is not "
            f"forgotten ({error.cause}): link them once more, and unlink them again"
        ) from error
    logger.info("Successfully unlinked %s from application '%s'", body.model_names, body.app_name)
    return "Success!"


@router.post("/add_model", **text("Successfully added model with name 'sum-model' and input type 'doubles'"))
def add_model(body: requests.AddModel, registrar: Desk) -> str:
    """Registers a version of a model and makes it the current one."""
    input_type = canonical_input_type(body.input_type)
    return commit(
        registrar,
        lambda registry: rules.add_model(registry, body.model()),
        f"Successfully added model with name '{body.model_name}' and input type '{input_type}'",
    )


@router.post("/set_model_version", **text("Successfully set model with name 'sum-model' to version '1'"))
def set_model_version(body: requests.VersionedModel, registrar: Desk) -> str:
    """Makes a registered version of a model the current one: the way to roll back."""
    return commit(
        registrar,
        lambda registry: rules.set_model_version(registry, body.model_name, body.model_version),
        f"Successfully set model with name '{body.model_name}' to version '{body.model_version}'",
    )


@router.post("/set_batching", **text("Successfully set batching of model with name 'sum-model'"))
def set_batching(body: requests.Batching, registrar: Desk) -> str:
    """Changes how a version's queries are put into batches, at once and without a restart.

    What is not given stays as it is. Without `model_version` it is about the current one.
    """
    return commit(
        registrar,
        lambda registry: rules.set_batching(registry, body.model_name, body.model_version, body.changes()),
        f"Successfully set batching of model with name '{body.model_name}'",
    )


@router.post("/delete_versioned_model", **text("Successfully deleted model with name 'sum-model' and version '1'"))
def delete_versioned_model(body: requests.VersionedModel, registrar: Desk) -> str:
    """Unregisters a version of a model.

    A model whose current version is deleted has none until one is set or registered: no older version takes over
    unasked, and applications linked to the model answer their default output.
    """
    return commit(
        registrar,
        lambda registry: rules.delete_versioned_model(registry, body.model_name, body.model_version),
        f"Successfully deleted model with name '{body.model_name}' and version '{body.model_version}'",
    )


@router.post("/get_all_applications")
def get_all_applications(body: requests.Listing, registrar: Desk) -> list[ApplicationAnswer] | list[str]:
    """All applications, in the order of their registration."""
    registry = registrar.read()
    if not body.verbose:
        return list(registry.applications)
    return [answers.describe_application(registry, each) for each in registry.applications.values()]


@router.post("/get_application")
def get_application(body: requests.AppName, registrar: Desk) -> ApplicationAnswer | Unknown:
    """One application; an empty object if there is none of that name."""
    registry = registrar.read()
    application = registry.applications.get(body.name)
    return answers.describe_application(registry, application) if application else Unknown()


@router.post("/get_linked_models")
def get_linked_models(body: requests.LinkedModels, registrar: Desk) -> list[str]:
    """The names of the models that an application is linked to, without its shadows."""
    registry = registrar.read()
    return list(registry.links.get(rules.find_application(registry, body.app_name).name, ()))


@router.post("/get_all_models")
def get_all_models(body: requests.Listing, registrar: Desk) -> list[ModelAnswer] | list[str]:
    """All versions of all models, in the order of their registration."""
    registry = registrar.read()
    if not body.verbose:
        return [str(model) for model in registry.models]
    return [answers.describe_model(registry, each) for each in registry.models.values()]


@router.post("/get_model")
def get_model(body: requests.VersionedModel, registrar: Desk) -> ModelAnswer | Unknown:
    """One version of a model; an empty object if it is not registered."""
    registry = registrar.read()
    model = registry.models.get(ModelVersion(body.model_name, body.model_version))
    return answers.describe_model(registry, model) if model else Unknown()


@router.post("/get_all_containers")
def get_all_containers(body: requests.Listing, registrar: Desk) -> list[ContainerAnswer] | list[str]:
    """The replicas of models that query frontends have reported."""
    containers = answers.describe_containers(registrar.replicas())
    return containers if body.verbose else [answers.name_container(each) for each in containers]


@router.post("/get_container")
def get_container(body: requests.Container, registrar: Desk) -> ContainerAnswer | Unknown:
    """One replica of a model; an empty object if no query frontend has it."""
    wanted = (body.model_name, body.model_version, body.replica_id)
    for each in answers.describe_containers(registrar.replicas()):
        if (each.model_name, each.model_version, each.model_replica_id) == wanted:
            return each
    return Unknown()
