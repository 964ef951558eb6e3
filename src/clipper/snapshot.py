"""What the metrics of frontends are at one moment: values that travel between processes and add up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import msgspec

from clipper.distribution import Distribution


class Rates(msgspec.Struct, frozen=True):
    """Events per second: ``mean`` over a meter's life, and moving averages over 1, 5 and 15 minutes once known."""

    mean: float = 0.0
    moving: tuple[float, float, float] | None = None


class AppSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """``weights`` is by frontend, then model: each frontend has learned the same, so these do not add up."""

    ok: int = 0
    errors: int = 0
    cancelled: int = 0
    defaults: dict[str, int] = {}
    feedback: dict[str, int] = {}
    weights: dict[str, dict[str, float]] = {}
    latency: Distribution = Distribution("seconds")
    throughput: Rates = Rates()


class ModelSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """``replicas`` is by frontend: each replica connects to every frontend, so these do not add up."""

    predictions: int = 0
    batches: int = 0
    errors: int = 0
    redispatched: int = 0
    hedged: int = 0
    hits: int = 0
    misses: int = 0
    queue_depth: int = 0
    in_flight: int = 0
    replicas: dict[str, int] = {}
    batch_size: Distribution = Distribution("queries")
    latency: Distribution = Distribution("seconds")
    queue_wait: Distribution = Distribution("seconds")
    throughput: Rates = Rates()


class ProcessSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The frontends themselves: how many answered and how many did not, and how many of the former lost the store."""

    up: int = 0
    missing: int = 0
    storeless: int = 0
    versions: frozenset[str] = frozenset()
    responses: dict[str, int] = {}
    cache_bytes: int = 0
    cache_entries: int = 0
    decisions_dropped: int = 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All metrics of one or several frontends. ``models`` is by name and version.

    ``all_models`` sums up every model version there has ever been, so its counts never go down.
    """

    process: ProcessSnapshot = ProcessSnapshot()
    apps: dict[str, AppSnapshot] = {}
    models: dict[str, dict[str, ModelSnapshot]] = {}
    all_models: ModelSnapshot = ModelSnapshot()


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """What one frontend would tell if it had done the work of all; of no snapshots, an empty one."""
    return reduce(_plus, snapshots, Snapshot())


def merge_models(snapshots: Iterable[ModelSnapshot]) -> ModelSnapshot:
    """Several model versions as if they were one."""
    return reduce(_plus, snapshots, ModelSnapshot())


def _plus(left: Any, right: Any) -> Any:
    """Numbers and distributions add, sets unite, dicts and structs go key by key, None is nothing."""
    if left is None or right is None:
        return right if left is None else left
    if isinstance(left, Distribution):
        return left.plus(right)
    if isinstance(left, msgspec.Struct):
        return type(left)(
            **{name: _plus(getattr(left, name), getattr(right, name)) for name in left.__struct_fields__}
        )
    if isinstance(left, dict):
        return left | right | {key: _plus(left[key], right[key]) for key in left.keys() & right.keys()}
    if isinstance(left, tuple):
        return tuple(map(_plus, left, right))
    return left | right if isinstance(left, frozenset) else left + right
