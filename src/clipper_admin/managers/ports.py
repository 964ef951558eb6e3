"""Which TCP ports a cluster takes, and who holds those it can't have."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from clipper_admin.exceptions import ClipperException
from clipper_admin.limits import tcp_port

FREE_RANGE = range(10_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections: one of those could take ours during a restart."""


@dataclass(frozen=True, slots=True)
class Wish:
    """``count`` ports in a row: the first is ``wanted``, or if that is 0 ``before`` (of an earlier life), else any.

    ``purpose`` is the word for them in ``clipper_<purpose>_port``.
    """

    purpose: str
    wanted: int
    before: int = 0
    count: int = 1


def choose_ports(host: str, *wishes: Wish) -> dict[str, int]:
    """The first port for each purpose; nobody listens on them and they do not meet.

    Raises:
        ClipperException: as ``take_ports``, or two of the wishes are for the same port.
    """
    chosen: dict[str, int] = {}
    ours: dict[int, str] = {}
    for wish in sorted(wishes, key=lambda wish: wish.wanted == 0):  # those that may be any give way
        first = chosen[wish.purpose] = take_ports(host, wish, ours)
        ours |= dict.fromkeys(range(first, first + wish.count), wish.purpose)
    return chosen


def take_ports(host: str, wish: Wish, ours: Mapping[int, str]) -> int:
    """The first port of a wish.

    Args:
        host: the address they are for.
        wish: which.
        ours: the purposes of ports that are given away already.

    Raises:
        ClipperException: a port is taken (the message names the holder where it can be known), or is no port.
    """
    run = range(wish.wanted or wish.before, (wish.wanted or wish.before) + wish.count)
    if wish.wanted == 0:
        usable = wish.before and not any(port in ours or _refusal(host, port) for port in run)
        return wish.before if usable else _free_run(host, wish.count, ours)
    for port in run:
        if port in ours:
            raise _met(wish, port, ours[port])
        _check_port(host, port, wish.purpose)
    return wish.wanted


def _met(wish: Wish, port: int, other: str) -> ClipperException:
    last = wish.wanted + wish.count - 1
    why = f" (each query frontend has one: {wish.wanted} to {last})" if wish.count > 1 else ""
    return ClipperException(
        f"Port {port} can't be both a {other} port and a {wish.purpose} port{why}: give each a port of its own with "
        f"clipper_{other}_port= and clipper_{wish.purpose}_port= (0 for any free port)."
    )


def _check_port(host: str, port: int, purpose: str) -> None:
    refusal = _refusal(host, tcp_port(f"clipper_{purpose}_port", port))
    if refusal:
        raise ClipperException(
            f"The {purpose} port {port} can't be used on {host}: {refusal}. Stop what is there, or pass another "
            f"clipper_{purpose}_port= (0 for any free port)."
        )


def preferred_port(host: str, wanted: int, ours: Collection[int] = ()) -> int:
    """``wanted``, or another that is free if it is taken, or 0. ``ours`` are given away already."""
    taken = dict.fromkeys(ours, "other")
    if wanted and wanted not in taken and not _refusal(host, wanted):
        return wanted
    return _free_run(host, 1, taken)


def address(host: str, port: int) -> str:
    """``host:port`` to reach what is bound to ``host``."""
    reached = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{reached}]:{port}" if ":" in reached else f"{reached}:{port}"


def holder(port: int) -> str:
    """Who listens on a port: ``python3 (pid 4711)``; says so when that can't be seen."""
    import psutil  # here, to keep `import clipper_admin` light

    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and getattr(connection.laddr, "port", 0) == port
                and connection.pid
            ):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return "another process (whose name this user may not see)"


def _refusal(host: str, port: int) -> str:
    """Why a port can't be bound; empty if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()  # two sockets may be bound to a port with SO_REUSEADDR, as long as none listens
    except socket.gaierror as error:
        return f"the host is unknown ({error})"
    except PermissionError:
        return "this user may not listen there"
    except OSError as error:
        return f"it is held by {holder(port)}" if error.errno == errno.EADDRINUSE else str(error)
    return ""


def _free_run(host: str, count: int, ours: Mapping[int, str]) -> int:
    for _ in range(1000):
        first = random.randrange(FREE_RANGE.start, FREE_RANGE.stop - count)
        if not any(port in ours or _refusal(host, port) for port in range(first, first + count)):
            return first
    raise ClipperException(f"No {count} free ports in a row were found on {host}: name one that is free.")
