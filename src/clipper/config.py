"""The settings of both servers, decided once: flags over environment over defaults."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clipper.errors import ConfigError
from clipper.log_format import FORMATS, LEVELS


def setting(default: Any, description: str) -> Any:
    return field(default=default, metadata={"help": description})


@dataclass(frozen=True, slots=True)
class Config:
    """Each field is a flag (``--query-port``) and an environment variable (``CLIPPER_QUERY_PORT``)."""

    store: str = setting("", "path of the SQLite file, or redis[s]://HOST:PORT/DB?cluster=NAME")
    host: str = setting("127.0.0.1", "address to bind")
    query_port: int = setting(1337, "port of predict, update, metrics and health")
    management_port: int = setting(1338, "port of /admin")
    rpc_port: int = setting(7000, "TCP port that model containers connect to")
    rpc_socket: str = setting("", "Unix socket that containers here connect to")
    metrics_sockets: str = setting("", "this frontend's and its peers' metrics sockets")
    metrics_address: str = setting("", "host:port where Prometheus reaches this frontend, if not at the bound one")
    frontend: str = setting("frontend-0", "name of this query frontend")
    cache_bytes: int = setting(33_554_432, "size of the prediction cache; 0 is off")
    queue_limit: int = setting(65_536, "most queries that wait for one model")
    body_limit: int = setting(33_554_432, "most bytes of a request body")
    request_timeout: float = setting(5.0, "seconds to receive headers, and idle")
    content_timeout: float = setting(300.0, "seconds to receive a body")
    drain_timeout: float = setting(10.0, "seconds SIGTERM waits for answers")
    log_level: str = setting("info", "debug (a line for each request), info, warning or error")
    log_format: str = setting("text", "text, or json: an object a line")


def load_config(argv: Sequence[str], environ: Mapping[str, str]) -> Config:
    """Reads the settings of a server process.

    Raises:
        ConfigError: an environment variable does not fit the type of its setting, or a number makes no sense.
        SystemExit: a flag is unknown or does not fit (status 2, argparse's message on stderr).
    """
    parser = argparse.ArgumentParser(description="A Clipper server process")
    for each in dataclasses.fields(Config):
        parser.add_argument(
            "--" + each.name.replace("_", "-"),
            type=type(each.default),
            default=_from_environment(each, environ),
            help=f"{each.metadata['help']} (default: {each.default!r})",
        )
    config = Config(**vars(parser.parse_args(list(argv))))
    _check(config)
    return config


def _check(config: Config) -> None:
    for each in dataclasses.fields(Config):
        value = getattr(config, each.name)
        flag = "--" + each.name.replace("_", "-")
        if each.name.endswith("_port") and not 0 <= value <= 65_535:
            raise ConfigError(f"{flag} is {value}: a port is a number from 0 to 65535")
        if each.name.endswith(("_limit", "_timeout")) and not 0 < value < float("inf"):
            raise ConfigError(f"{flag} is {value}: give a number above 0 ({each.metadata['help']})")
    for flag, value, known in (
        ("--log-level", config.log_level, LEVELS),
        ("--log-format", config.log_format, FORMATS),
    ):
        if value not in known:
            raise ConfigError(f"{flag} is {value!r}: choose one of {', '.join(known)}")
    if config.cache_bytes < 0:
        raise ConfigError(f"--cache-bytes is {config.cache_bytes}: give the size in bytes, or 0 for no cache")


def _from_environment(setting_field: dataclasses.Field[object], environ: Mapping[str, str]) -> object:
    variable = "CLIPPER_" + setting_field.name.upper()
    if variable not in environ:
        return setting_field.default
    kind = type(setting_field.default)
    try:
        return kind(environ[variable])  # type: ignore[call-arg]
    except ValueError:
        raise ConfigError(f"{variable}={environ[variable]!r} is not {kind.__name__}: correct or unset it") from None
