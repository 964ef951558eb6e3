"""What the endpoints tell of the registry."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import cast

from pydantic import BaseModel, ConfigDict, JsonValue

from clipper.types import Application, Model, Registry, Replica


class ErrorAnswer(BaseModel):
    """What every refused or failed request is answered with."""

    error: str
    cause: str


class Unknown(BaseModel):
    """An empty object: nothing of that name is registered."""

    model_config = ConfigDict(extra="forbid")


class ApplicationAnswer(BaseModel):
    name: str
    input_type: str
    default_output: str
    latency_slo_micros: int
    linked_models: list[str]
    shadow_models: list[str]
    selection_policy: str
    policy_params: dict[str, JsonValue]
    confidence_threshold: float
    loss: str
    loss_scale: float


class ModelAnswer(BaseModel):
    model_name: str
    model_version: str
    input_type: str
    labels: list[str]
    container_name: str
    model_data_path: str
    batch_size: int
    batching: str
    batch_delay_micros: int
    is_current_version: bool


class ContainerAnswer(BaseModel):
    """One replica of a model, and the query frontends it is connected to.

    `metrics_address` is the `host:port` of the container's own metrics; empty if it has none.
    """

    model_id: str
    model_name: str
    model_version: str
    model_replica_id: int
    input_type: str
    frontends: list[str]
    metrics_address: str


class ScoreAnswer(BaseModel):
    count: int
    mean_loss: float


class SelectionStateAnswer(BaseModel):
    """What an application has learned; of a user, if there is a `user_id`. `state` is what its policy keeps."""

    app_name: str
    policy: str
    params: dict[str, JsonValue]
    user_id: str | None
    epoch: int
    feedbacks: int
    weights: dict[str, float]
    scores: dict[str, ScoreAnswer]
    state: JsonValue


class PromotionAnswer(BaseModel):
    app_name: str
    model_name: str


def describe_application(registry: Registry, application: Application) -> ApplicationAnswer:
    return ApplicationAnswer(
        name=application.name,
        input_type=application.input_type,
        default_output=application.default_output,
        latency_slo_micros=application.latency_slo_micros,
        linked_models=list(registry.links.get(application.name, ())),
        shadow_models=list(registry.shadows.get(application.name, ())),
        selection_policy=application.selection_policy,
        policy_params=cast(dict[str, JsonValue], application.policy_params),
        confidence_threshold=application.confidence_threshold,
        loss=application.loss,
        loss_scale=application.loss_scale,
    )


def describe_model(registry: Registry, model: Model) -> ModelAnswer:
    return ModelAnswer(
        model_name=model.name,
        model_version=model.version,
        input_type=model.input_type,
        labels=list(model.labels),
        container_name=model.container_name,
        model_data_path=model.model_data_path,
        batch_size=model.batch_size,
        batching=model.batching,
        batch_delay_micros=model.batch_delay_micros,
        is_current_version=registry.current_versions.get(model.name) == model.version,
    )


def describe_containers(replicas: Iterable[Replica]) -> list[ContainerAnswer]:
    """One entry a container; ``replicas`` is what a store gives, in its order."""
    containers = groupby(replicas, key=lambda each: (each.model_name, each.model_version, each.replica_id))
    return [_describe_container(list(reports)) for _, reports in containers]


def name_container(container: ContainerAnswer) -> str:
    return f"{container.model_id}:{container.model_replica_id}"


def _describe_container(reports: list[Replica]) -> ContainerAnswer:
    first = reports[0]
    return ContainerAnswer(
        model_id=f"{first.model_name}:{first.model_version}",
        model_name=first.model_name,
        model_version=first.model_version,
        model_replica_id=first.replica_id,
        input_type=first.input_type,
        frontends=[report.frontend for report in reports],
        metrics_address=first.metrics_address,
    )
