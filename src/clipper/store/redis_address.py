"""Where a Redis is, and which of the clusters on it is meant."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from clipper.errors import ConfigError

SCHEMES: Final = ("redis", "rediss", "unix")
DEFAULT_CLUSTER: Final = "default-cluster"
FORM: Final = "redis://[USER:PASSWORD@]HOST:PORT/DB?cluster=NAME"


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
    """Raises ConfigError if ``text`` is not of the form of ``FORM``, or the same with ``rediss`` or ``unix``."""
    shown = shown_address(text)
    try:
        parts = urlsplit(text)
        settings = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        _ = parts.port  # raises what is wrong with it
    except ValueError:  # whose text may have a part of the password
        raise ConfigError(
            f"the store {shown} is not an address: write {FORM}, and in the password %2F for a slash and so on"
        ) from None
    cluster = settings.pop("cluster", DEFAULT_CLUSTER)
    if not cluster or set("{}") & set(cluster) or not cluster.isprintable():
        raise ConfigError(f"the store {shown} names no cluster that can be: give cluster=NAME, without braces")
    unknown = [each for each in settings if each != "db" and not each.startswith("ssl_")]
    if unknown:
        raise ConfigError(f"the store {shown} has the setting {unknown[0]!r}: known are cluster, db and ssl_...")
    place = text.partition("?")[0]
    return RedisAddress(f"{place}?{urlencode(settings)}" if settings else place, cluster, shown)


def shown_address(text: str) -> str:
    """The address without what is secret in it: user, password, settings of TLS."""
    scheme, _, rest = text.partition("://")
    place, _, query = rest.rpartition("@")[2].partition("?")
    cluster = "&".join(each for each in query.split("&") if each.startswith("cluster="))
    return f"{scheme}://{place}" + (f"?{cluster}" if cluster else "")
