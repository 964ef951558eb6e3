"""Where the query frontends are: addresses as the environment names them, and the endpoints they stand for."""

from __future__ import annotations

import ipaddress
import socket
from typing import NamedTuple


class Address(NamedTuple):
    """``unix:/path`` (then ``port`` is None) or ``tcp:host:port``."""

    host: str
    port: int | None = None

    @property
    def is_name(self) -> bool:
        """Whether it has to be resolved, and may come to mean other endpoints later."""
        if self.port is None:
            return False
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False

    def __str__(self) -> str:
        return f"unix:{self.host}" if self.port is None else f"tcp:{self.host}:{self.port}"


class Endpoint(NamedTuple):
    """Something a socket can connect to: one frontend."""

    family: int
    target: str | tuple[object, ...]

    def __str__(self) -> str:
        if isinstance(self.target, str):
            return f"unix:{self.target}"
        return f"tcp:{self.target[0]}:{self.target[1]}"


def parse_address(text: str) -> Address:
    """Reads ``unix:/path`` or ``tcp:host:port``; ValueError for anything else."""
    scheme, _, rest = text.strip().partition(":")
    if scheme == "unix" and rest:
        return Address(rest)
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not an address: write unix:/path or tcp:host:port")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def resolve(address: Address) -> list[Endpoint]:
    """Every frontend that ``address`` means now; OSError if its name can't be resolved.

    Of a name with both IPv4 and IPv6 addresses the IPv4 ones count: a frontend that listens on both must not be
    taken for two.
    """
    if address.port is None:
        return [Endpoint(socket.AF_UNIX, address.host)]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    endpoints = list(dict.fromkeys(Endpoint(family, target) for family, _, _, _, target in found))
    return [each for each in endpoints if each.family == socket.AF_INET] or endpoints
