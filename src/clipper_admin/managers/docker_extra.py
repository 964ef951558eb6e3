"""What a user gives every container of a cluster besides (``mem_limit``, ``volumes``, ...)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.docker_parts import EXTRA, Part

OURS: Final = frozenset(
    {"image", "command", "entrypoint", "name", "detach", "init", "ports", "publish_all_ports"}
    | {"network", "network_mode", "networking_config"}
)
"""What Clipper says of each container itself."""

JOINED: Final = frozenset({"labels", "environment", "volumes"})


@dataclass(frozen=True, slots=True)
class Extra:
    """``given`` as the arguments of ``docker.containers.run``: labels, environment and volumes are added to ours."""

    given: Mapping[str, Any]

    @property
    def note(self) -> str:
        """For the label of each container, by which other sessions give the same to theirs; or empty."""
        return json.dumps(self.given, default=str, sort_keys=True) if self.given else ""

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
        return f" (asked for with extra_container_kwargs: {', '.join(self.given)})" if self.given else ""

    def options(self, part: Part) -> dict[str, Any]:
        """For the creation of ``part``; what it needs itself wins."""
        return {
            **{name: value for name, value in self.given.items() if name not in JOINED},
            "labels": {
                **_labels(self.given.get("labels", {})),
                **part.labels,
                **({EXTRA: self.note} if self.given else {}),
            },
            "environment": {**_environment(self.given.get("environment", {})), **part.environment},
            "volumes": [
                *_volumes(self.given.get("volumes", [])),
                *(f"{name}:{path}" for name, path in part.volumes.items()),
            ],
        }


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
