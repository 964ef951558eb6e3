"""The settings of both servers, decided once: flags over environment over defaults."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clipper.errors import ConfigError


def setting(default: object, description: str) -> object:
    return field(default=default, metadata={"help": description})


@dataclass(frozen=True, slots=True)
class Config:
    """Each field is a flag (``--query-port``) and an environment variable (``CLIPPER_QUERY_PORT``)."""

    store: str = setting("", "path of the SQLite file")  # type: ignore[assignment]
    host: str = setting("127.0.0.1", "address to bind")  # type: ignore[assignment]
    query_port: int = setting(1337, "port of predict, update, metrics and health")  # type: ignore[assignment]
    management_port: int = setting(1338, "port of /admin")  # type: ignore[assignment]
    rpc_port: int = setting(7000, "TCP port that model containers connect to")  # type: ignore[assignment]
    rpc_socket: str = setting("", "Unix socket that containers here connect to")  # type: ignore[assignment]
    metrics_sockets: str = setting("", "this frontend's and its peers' metrics sockets")  # type: ignore[assignment]
    frontend: str = setting("frontend-0", "name of this query frontend")  # type: ignore[assignment]
    cache_bytes: int = setting(33_554_432, "size of the prediction cache; 0 is off")  # type: ignore[assignment]
    queue_limit: int = setting(65_536, "most queries that wait for one model")  # type: ignore[assignment]
    body_limit: int = setting(33_554_432, "most bytes of a request body")  # type: ignore[assignment]
    request_timeout: float = setting(5.0, "seconds to receive headers, and idle")  # type: ignore[assignment]
    content_timeout: float = setting(300.0, "seconds to receive a body")  # type: ignore[assignment]
    drain_timeout: float = setting(10.0, "seconds SIGTERM waits for answers")  # type: ignore[assignment]


def load_config(argv: Sequence[str], environ: Mapping[str, str]) -> Config:
    """Reads the settings of a server process.

    Raises:
        ConfigError: an environment variable does not fit the type of its setting.
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
    return Config(**vars(parser.parse_args(list(argv))))


def _from_environment(setting_field: dataclasses.Field[object], environ: Mapping[str, str]) -> object:
    variable = "CLIPPER_" + setting_field.name.upper()
    if variable not in environ:
        return setting_field.default
    kind = type(setting_field.default)
    try:
        return kind(environ[variable])  # type: ignore[call-arg]
    except ValueError:
        raise ConfigError(f"{variable}={environ[variable]!r} is not {kind.__name__}: correct or unset it") from None
