"""What both managers ask of their arguments: how servers are to be run, and what an image is made of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from clipper_admin import limits
from clipper_admin.defaults import Default
from clipper_admin.exceptions import ClipperException
from clipper_admin.names import check_model

_Settings = TypeVar("_Settings", bound=Any)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How servers are run: ``cache_size`` in bytes, timeouts in seconds, the number of query ``frontends``."""

    cache_size: int
    request_timeout: float
    content_timeout: float
    frontends: int


def server_settings(
    cache_size: object, request_timeout: object, content_timeout: object, frontends: object
) -> ServerSettings:
    """The arguments of ``start_clipper``, checked; raises ClipperException that names the wrong one."""
    return ServerSettings(
        cache_size=limits.whole_number("cache_size", cache_size),
        request_timeout=limits.seconds("qf_http_timeout_request", request_timeout),
        content_timeout=limits.seconds("qf_http_timeout_content", content_timeout),
        frontends=limits.whole_number("num_frontend_replicas", frontends, least=1),
    )


def server_ports(query: int, management: int, rpc: int) -> tuple[int, int, int]:
    """The ports that are asked for, checked."""
    return (
        limits.tcp_port("clipper_query_port", query),
        limits.tcp_port("clipper_management_port", management),
        limits.tcp_port("clipper_rpc_port", rpc),
    )


def log_settings(log_level: str, log_format: str) -> dict[str, Any]:
    """Those of what is logged, checked, by their names."""
    return {"log_level": limits.log_level(log_level), "log_format": limits.log_format(log_format)}


def taking_up(wanted: _Settings, before: Any) -> _Settings:
    """``wanted``, a dataclass, with the values of ``before`` where nobody gave any."""
    values = {each.name: getattr(wanted, each.name) for each in dataclasses.fields(wanted)}
    kept = {
        name: getattr(before, name)
        for name, value in values.items()
        if isinstance(value, Default) and hasattr(before, name)
    }
    return dataclasses.replace(wanted, **kept)


def check_build(name: str, version: str, model_data_path: str, replicas: int) -> None:
    """Raises ClipperException if no image of this version can be built now: ``replicas`` of it run from another."""
    check_model(name, version)
    if not Path(model_data_path).is_dir():
        raise ClipperException(f"{model_data_path} is not a directory: pass the one that holds the model's files.")
    if replicas:
        raise ClipperException(
            f"Model {name}:{version} has {replicas} replicas that run from its image: build it as another version, "
            "or stop that one first."
        )


def not_connected(cluster: str) -> ClipperException:
    return ClipperException(f"Not connected to cluster {cluster}: call start_clipper() or connect() first.")


def no_program(cluster: str, program: str, known: list[str]) -> ClipperException:
    return ClipperException(f"Cluster {cluster} has no program {program!r}; it has: {', '.join(known) or 'none'}.")
