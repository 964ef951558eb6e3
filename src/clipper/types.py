"""The values that Clipper's parts hand to each other. All are immutable."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class ModelVersion(NamedTuple):
    """Names one deployed version of a model; written ``name:version``."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction endpoint ``/{name}/predict``.

    ``input_type`` is canonical (``doubles``, not ``d``); ``latency_slo_micros`` is the time, in microseconds
    from a query's arrival, after which ``default_output`` (a string, sent as JSON if it parses) is answered.
    ``loss_scale`` is the largest error of a number that matters: its loss is 1. ``policy_epoch`` is the registry
    revision that gave the application its policy: feedback teaches the policy it was given under, and no other.
    """

    name: str
    input_type: str
    default_output: str
    latency_slo_micros: int
    selection_policy: str = "single"
    policy_params: dict[str, object] = {}
    confidence_threshold: float = 0.0
    loss: str = "zero_one"
    loss_scale: float = 1.0
    policy_epoch: int = 0


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One registered version of a model.

    ``batch_size`` is the most queries a batch may hold, or -1 to learn it, the way that ``batching`` names.
    ``batch_delay_micros`` is how long, counted from the oldest waiting query, a batch may wait to be filled: 0 not
    at all, -1 as learned. ``registration`` is the registry revision that created the record: a version deleted and
    registered again is another model to the caches.
    """

    name: str
    version: str
    input_type: str
    labels: tuple[str, ...] = ()
    container_name: str = "NO_CONTAINER"
    model_data_path: str = "DEPRECATED"
    batch_size: int = -1
    batching: str = "aimd"
    batch_delay_micros: int = 0
    registration: int = 0

    @property
    def id(self) -> ModelVersion:
        return ModelVersion(self.name, self.version)


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One model container as one query frontend sees it.

    ``metrics_address`` is the ``host:port`` of its own metrics; empty if it has none.
    """

    model_name: str
    model_version: str
    replica_id: int
    input_type: str
    frontend: str
    metrics_address: str = ""


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is registered, as of one revision. Rules turn one registry into the next.

    ``links`` are the models whose outputs an application is answered with, ``shadows`` those that are asked and
    scored beside them and never answered from.
    """

    revision: int = 0
    applications: dict[str, Application] = {}
    models: dict[ModelVersion, Model] = {}
    current_versions: dict[str, str] = {}
    links: dict[str, tuple[str, ...]] = {}
    shadows: dict[str, tuple[str, ...]] = {}
