"""What the manager of Docker is given, checked before an engine is asked for anything. All raise ClipperException."""

from __future__ import annotations

import re
import socket
from typing import Any, Final

from clipper_admin.exceptions import ClipperException

_NOT_OURS: Final = ("host", "bridge", "none", "default")
_ITSELF: Final = r"localhost|127(\.\d+){3}|::1|\[::1\]|0\.0\.0\.0"


def engine_address(value: Any) -> str:
    """``value``, if it can be the name or address of a machine."""
    return _host("docker_ip_address", value, "of the engine's machine, such as 'localhost' or '10.0.0.7'")


def check_resolves(host: str) -> None:
    """For what is asked at that address; to stop a cluster, nothing is."""
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        raise ClipperException(
            f"docker_ip_address: {host!r} can't be resolved ({error}). Give a name or an address of the engine's "
            "machine that is known here"
        ) from error


def network(value: Any) -> str:
    """``value``, if it can be a network on which containers find each other by their names."""
    if not isinstance(value, str) or not value:
        raise ClipperException(f"docker_network must be the name of a network, a str, not {value!r}")
    if value in _NOT_OURS or value.startswith("container:"):
        raise ClipperException(
            f"DockerContainerManager does not support running Clipper on the network {value!r}: containers do not "
            "find each other by their names there. Leave docker_network out, or give a name of your own"
        )
    return value


def redis_address(value: Any) -> str | None:
    """``value``, if it can be where containers reach a Redis; None for none."""
    if value is None or value == "":
        return None
    host = _host("redis_ip", value, "of Redis' machine, as containers reach it")
    if re.fullmatch(_ITSELF, host):
        raise ClipperException(
            f"redis_ip={value!r} is, for a container, the container itself: give an address of this machine that is "
            "reached from others (`hostname -I` shows them), or the name of a container on docker_network"
        )
    return host


def image_name(what: str, value: Any) -> str:
    """``value``, if it can be the name of an image."""
    if not isinstance(value, str) or not value.strip():
        raise ClipperException(f"{what} must be the name of an image, such as 'team/image:1', not {value!r}")
    return value


def registry(value: Any) -> str | None:
    """``value``, if names of images can begin with it; None for none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ClipperException(f"registry must be a str, such as 'registry.example:5000/team', not {value!r}")
    plain = re.sub(r"^\w+://", "", value).strip("/")
    if plain != value:
        raise ClipperException(
            f"registry={value!r}: names of images begin with its host, without a scheme and with no '/' at the end. "
            f"Give {plain!r}"
        )
    return value


def _host(what: str, value: Any, meant: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s/]+", value):
        raise ClipperException(f"{what} must be a name or an IP address {meant}, and nothing else, not {value!r}")
    return value
