"""What a user gives every container of a cluster besides (``mem_limit``, ``volumes``, ...)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers import docker_parts
from clipper_admin.managers.docker_parts import EXTRA, FLUENTD_PORT, METRIC_PORT, REDIS_PORT, Part
from clipper_admin.managers.programs import ReplicaId

OURS: Final = frozenset(
    {"image", "command", "entrypoint", "name", "detach", "init", "ports", "publish_all_ports"}
    | {"network", "network_mode", "networking_config"}
)
"""What Clipper says of each container itself."""

JOINED: Final = frozenset({"labels", "environment", "volumes"})
FILES: Final = frozenset({"volumes", "volumes_from", "mounts"})
"""What is for programs of Clipper and models alone: Redis, Prometheus and fluentd have files of their own there."""
_SERVICES: Final = (REDIS_PORT, METRIC_PORT, FLUENTD_PORT)
_LABELS: Final = "ai.clipper."
_VOLUME: Final = "{'/host': {'bind': '/inside', 'mode': 'ro'}}"


@dataclass(frozen=True, slots=True)
class Extra:
    """``given`` as the arguments of ``docker.containers.run``: labels, environment and volumes are added to ours.

    Raises:
        ClipperException: it can be seen that Docker will not take a value, or that Clipper would not heed it.
    """

    given: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.given, Mapping):
            raise ClipperException(
                f"extra_container_kwargs must be a mapping, such as {{'mem_limit': '1g'}}, not {self.given!r}"
            )
        _check_labels(self.given.get("labels", {}))
        _check_environment(self.given.get("environment", {}))
        _check_volumes(self.given.get("volumes", {}))

    @property
    def note(self) -> str:
        """For the label of each container, by which other sessions give the same to theirs; or empty."""
        return json.dumps(self.given, default=_plain, sort_keys=True) if self.given else ""

    def check(self) -> None:
        """Raises ClipperException for what Docker's SDK does not know, or is not the user's to say; needs the SDK."""
        from docker.models.containers import RUN_CREATE_KWARGS, RUN_HOST_CONFIG_KWARGS

        known = {*RUN_CREATE_KWARGS, *RUN_HOST_CONFIG_KWARGS, "volumes"}
        for name in self.given:
            if name in OURS:
                raise ClipperException(
                    f"extra_container_kwargs can't have {name!r}: Clipper sets it for each container itself"
                )
            if name not in known:
                near = difflib.get_close_matches(str(name), known - OURS, 1)
                meant = f": did you mean {near[0]!r}?" if near else ""
                raise ClipperException(
                    f"extra_container_kwargs has {name!r}, which docker.containers.create does not take{meant}"
                )

    @property
    def besides(self) -> str:
        """What is to be known of a container that Docker refuses; empty if nothing was given."""
        return (
            f" (extra_container_kwargs is part of what was asked for: {', '.join(self.given)})" if self.given else ""
        )

    def options(self, part: Part) -> dict[str, Any]:
        """For the creation of ``part``; what it needs itself wins."""
        is_service = any(label in part.labels for label in _SERVICES)
        given = {name: value for name, value in self.given.items() if not (is_service and name in FILES)}
        return {
            **{name: value for name, value in given.items() if name not in JOINED},
            "labels": {
                **_labels(given.get("labels", {})),
                **part.labels,
                **({EXTRA: self.note} if self.given else {}),
            },
            "environment": {**_environment(given.get("environment", {})), **part.environment},
            "volumes": [
                *_volumes(given.get("volumes", [])),
                *(f"{name}:{path}" for name, path in part.volumes.items()),
            ],
        }


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)


def _labels(given: Any) -> Mapping[str, str]:
    """Docker takes lists of names, too."""
    return given if isinstance(given, Mapping) else dict.fromkeys(given, "")


def _environment(given: Any) -> Mapping[str, str]:
    """Docker takes lists of ``name=value``, too."""
    return given if isinstance(given, Mapping) else dict(each.partition("=")[::2] for each in given)


def _volumes(given: Any) -> list[str]:
    """Docker takes mappings of a place to ``{"bind": path, "mode": "ro"}``, too."""
    if not isinstance(given, Mapping):
        return list(given)
    return [f"{place}:{each['bind']}:{each.get('mode', 'rw')}" for place, each in given.items()]


def _check_labels(given: Any) -> None:
    names = given.keys() if isinstance(given, Mapping) else given
    values = given.values() if isinstance(given, Mapping) else ()
    if not _is_list(given) or not all(isinstance(each, str) for each in (*names, *values)):
        raise _wrong("labels", "a mapping of str to str or a list of names", given)
    for name in names:
        if name.startswith(_LABELS):
            raise ClipperException(
                f"extra_container_kwargs: labels can't have {name!r}: Clipper finds its containers by labels "
                f"that begin with {_LABELS}. Choose another name"
            )


def _check_environment(given: Any) -> None:
    is_mapping = isinstance(given, Mapping)
    if not _is_list(given) or not all(isinstance(each, str) and (is_mapping or "=" in each) for each in given):
        raise _wrong("environment", "a mapping of names to values or a list of 'NAME=value'", given)
    values = _environment(given)
    if any(isinstance(each, (Mapping, list, tuple, set)) for each in values.values()):
        raise _wrong("environment", "a mapping of names to values, each a str or a number", given)
    for name in values.keys() & _own_variables():
        raise ClipperException(
            f"extra_container_kwargs: environment can't have {name!r}: Clipper sets it for each model itself. "
            "Leave it out"
        )


def _own_variables() -> set[str]:
    """Those that tell a model who it is."""
    return {*docker_parts.replica("", ReplicaId("", "", 0), "", "", "", ("", "")).environment}


def _check_volumes(given: Any) -> None:
    expected = f"a list of '/host:/inside:ro' or a mapping such as {_VOLUME}"
    if not _is_list(given):
        raise _wrong("volumes", expected, given)
    if not isinstance(given, Mapping):
        if not all(isinstance(each, str) for each in given):
            raise _wrong("volumes", expected, given)
        return
    for place, each in given.items():
        if not isinstance(place, str) or not _is_volume(each):
            raise _wrong("volumes", f"a mapping such as {_VOLUME}", {place: each})


def _is_volume(given: Any) -> bool:
    return (
        isinstance(given, Mapping)
        and {"bind"} <= given.keys() <= {"bind", "mode"}
        and isinstance(given["bind"], str)
        and isinstance(given.get("mode", "rw"), str)
    )


def _is_list(given: Any) -> bool:
    return isinstance(given, (Mapping, list, tuple, set, frozenset))


def _wrong(name: str, expected: str, given: Any) -> ClipperException:
    return ClipperException(f"extra_container_kwargs: {name} must be {expected}, not {given!r}")
