"""What the environment tells a model container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clipper.container.addresses import Address, parse_address
from clipper.container.log import FORMATS, LEVELS
from clipper.rpc.wire import InputType, parse_input_type

WRONG: Final = 1
MISSING_PACKAGE: Final = 3
"""Exit codes of a container that can't serve."""


class SettingsError(Exception):
    """A variable is missing or can't be read; the text names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``model_path`` is the directory with ``func.pkl``; ``addresses`` lead to every query frontend.

    ``metrics`` is where Prometheus is served (port 0: any free one), None if it is not.
    """

    model_name: str
    model_version: str
    model_path: Path
    input_type: InputType
    replica_id: int | None
    addresses: tuple[Address, ...]
    metrics: Address | None = None


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Raises SettingsError if a variable is missing or wrong."""
    _check_log("CLIPPER_LOG_LEVEL", environ, LEVELS)
    _check_log("CLIPPER_LOG_FORMAT", environ, FORMATS)
    return Settings(
        model_name=_required(environ, "CLIPPER_MODEL_NAME"),
        model_version=_required(environ, "CLIPPER_MODEL_VERSION"),
        model_path=Path(_required(environ, "CLIPPER_MODEL_PATH")),
        input_type=_input_type(environ.get("CLIPPER_INPUT_TYPE") or "doubles"),
        replica_id=_replica_id(environ.get("CLIPPER_REPLICA_ID")),
        addresses=_addresses(environ),
        metrics=_metrics(environ.get("CLIPPER_METRICS_ADDRESS", "").strip()),
    )


def _check_log(name: str, environ: Mapping[str, str], known: Sequence[str]) -> None:
    if environ.get(name, known[0]) not in known:
        raise SettingsError(f"{name}={environ[name]!r} is not one of {', '.join(known)}")


def _required(environ: Mapping[str, str], name: str) -> str:
    if not environ.get(name):
        raise SettingsError(f"{name} environment variable must be set")
    return environ[name]


def _input_type(text: str) -> InputType:
    try:
        return parse_input_type(text.strip().lower())
    except ValueError as error:
        raise SettingsError(f"CLIPPER_INPUT_TYPE: {error}") from None


def _replica_id(text: str | None) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        raise SettingsError(f"CLIPPER_REPLICA_ID={text!r} is not a whole number") from None


def _addresses(environ: Mapping[str, str]) -> tuple[Address, ...]:
    default = f"tcp:{environ.get('CLIPPER_IP') or '127.0.0.1'}:{environ.get('CLIPPER_PORT') or '7000'}"
    texts = (environ.get("CLIPPER_ADDRESS") or default).split(",")
    try:
        return tuple(dict.fromkeys(parse_address(each) for each in texts if each.strip()))
    except ValueError as error:
        raise SettingsError(f"CLIPPER_ADDRESS: {error}") from None


def _metrics(text: str) -> Address | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise SettingsError(f"CLIPPER_METRICS_ADDRESS={text!r} is not host:port, with a port from 0 to 65535")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))
