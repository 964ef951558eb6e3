"""Where a Redis is, and which of the clusters on it is meant."""

from __future__ import annotations

import re
import ssl
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from clipper.errors import ConfigError

SCHEMES: Final = ("redis", "rediss", "unix")
DEFAULT_CLUSTER: Final = "default-cluster"
FORM: Final = "redis://[USER:PASSWORD@]HOST:PORT/DB?cluster=NAME"
TLS: Final = "rediss:"
_CA: Final = "ssl_ca_certs"


class RedisAddress(NamedTuple):
    """``url`` is what redis-py understands; ``shown`` is fit for logs: it has no password."""

    url: str
    cluster: str
    shown: str

    @property
    def prefix(self) -> str:
        """With what every key of the cluster begins; the braces keep them on one node of a Redis that has several."""
        return f"clipper:{{{self.cluster}}}:"


def parse_address(text: str) -> RedisAddress:
    """Raises ConfigError if ``text`` is not of the form of ``FORM``, or the same with ``rediss`` or ``unix``.

    ``ca=FILE`` beside the cluster, for ``rediss`` alone, names the authorities whose certificates are trusted.
    """
    shown = shown_address(text)
    try:
        parts = urlsplit(text)
        settings = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        _ = parts.port  # raises what is wrong with it
    except ValueError:  # whose text may have a part of the password
        raise _no_address(shown) from None
    if parts.fragment or (parts.scheme != "unix" and re.fullmatch("(/[0-9]*)?", parts.path) is None):
        raise _no_address(shown)
    cluster = settings.pop("cluster", DEFAULT_CLUSTER)
    if not cluster or set("{}") & set(cluster) or not cluster.isprintable():
        raise ConfigError(f"the store {shown} names no cluster that can be: give cluster=NAME, without braces")
    if "ca" in settings:
        settings[_CA] = settings.pop("ca")
    unknown = [each for each in settings if each != "db" and not each.startswith("ssl_")]
    if unknown:
        raise ConfigError(f"the store {shown} has the setting {unknown[0]!r}: known are cluster, db, ca and ssl_...")
    if settings.keys() - {"db"} and not text.startswith(TLS):
        raise ConfigError(f"the store {shown} has settings of TLS: begin it with rediss://, or leave them out")
    _check_authorities(settings.get(_CA), shown)
    place = text.partition("?")[0]
    return RedisAddress(f"{place}?{urlencode(settings)}" if settings else place, cluster, shown)


def _no_address(shown: str) -> ConfigError:
    return ConfigError(
        f"the store {shown} is not an address: write {FORM}, where DB is a number, and in the password %2F for a "
        "slash, %23 for #, %40 for @"
    )


def _check_authorities(file: str | None, shown: str) -> None:
    if file is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        why = "it holds no certificates" if isinstance(error, ssl.SSLError) else getattr(error, "strerror", error)
        raise ConfigError(
            f"the file {file!r} of the store {shown} can't be used ({why}): name one with the certificates of the "
            "authorities that are trusted, as PEM"
        ) from error


def shown_address(text: str) -> str:
    """The address without what is secret in it: user, password, settings of TLS."""
    scheme, _, rest = text.partition("://")
    place, _, query = rest.rpartition("@")[2].partition("?")
    cluster = "&".join(each for each in query.split("&") if each.startswith("cluster="))
    return f"{scheme}://{place}" + (f"?{cluster}" if cluster else "")
