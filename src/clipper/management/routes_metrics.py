"""The endpoint below ``/admin`` that Prometheus asks what there is to scrape."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from clipper.management.routes import ERRORS, Desk
from clipper.management.targets import TargetAnswer
from clipper.management.targets import metrics_targets as targets_of

router: Final = APIRouter(prefix="/admin", responses=ERRORS, tags=["admin"])


@router.get("/metrics_targets")
def metrics_targets(registrar: Desk) -> list[TargetAnswer]:
    """The addresses of all metrics now, for Prometheus' `http_sd_configs`: query frontends and model containers."""
    return targets_of(registrar.metrics_addresses(), registrar.replicas())
