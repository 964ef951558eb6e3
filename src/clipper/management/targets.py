"""What Prometheus is to scrape: the query frontends and model containers that the store's reports tell of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import BaseModel

from clipper.types import Replica

FRONTENDS: Final = "clipper-frontends"
CONTAINERS: Final = "clipper-containers"


class TargetAnswer(BaseModel):
    """A group of targets as Prometheus' HTTP service discovery reads them; here each group has one."""

    targets: list[str]
    labels: dict[str, str]


def metrics_targets(frontends: Mapping[str, str], replicas: Iterable[Replica]) -> list[TargetAnswer]:
    """``frontends`` are addresses by name; ``replicas`` is what a store gives. Both as reported, in order.

    Frontends that share an address, and so tell the sum of all, are one target; so is a container that several
    frontends are connected to. Those without an address have no metrics.
    """
    return [*_of_frontends(frontends), *_of_containers(replicas)]


def _of_frontends(frontends: Mapping[str, str]) -> list[TargetAnswer]:
    sharing: dict[str, list[str]] = {}
    for name, address in frontends.items():
        sharing.setdefault(address, []).append(name)
    return [_target(address, job=FRONTENDS, frontend=",".join(names)) for address, names in sharing.items()]


def _of_containers(replicas: Iterable[Replica]) -> list[TargetAnswer]:
    containers = {
        (each.model_name, each.model_version, each.replica_id): each.metrics_address
        for each in replicas
        if each.metrics_address
    }
    return [
        _target(address, job=CONTAINERS, model=name, version=version, replica=str(number))
        for (name, version, number), address in containers.items()
    ]


def _target(address: str, **labels: str) -> TargetAnswer:
    return TargetAnswer(targets=[address], labels=labels)
