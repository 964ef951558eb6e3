"""Which TCP ports a cluster takes, and who holds those it can't have."""

from __future__ import annotations

import errno
import random
import socket

from clipper_admin.exceptions import ClipperException

FREE_RANGE = range(10_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections: one of those could take ours during a restart."""


def take_ports(host: str, wanted: int, before: int, count: int, purpose: str) -> int:
    """The first of ``count`` ports in a row on which nobody listens.

    Args:
        host: the address they are for.
        wanted: the first port; 0 for ``before`` if those are free still, else any.
        before: what the cluster had in an earlier life; 0 if it had none.
        count: how many.
        purpose: the word for them in ``clipper_<purpose>_port``.

    Raises:
        ClipperException: a port is taken (the message names the holder where it can be known), or is no port.
    """
    if wanted == 0:
        usable = before and not any(_refusal(host, port) for port in range(before, before + count))
        return before if usable else _free_run(host, count)
    for port in range(wanted, wanted + count):
        _check_port(host, port, purpose)
    return wanted


def _check_port(host: str, port: int, purpose: str) -> None:
    if not 0 < port < 65_536:
        raise ClipperException(
            f"clipper_{purpose}_port: {port} is not a TCP port; take one from 1 to 65535, or 0 for any free one."
        )
    refusal = _refusal(host, port)
    if refusal:
        raise ClipperException(
            f"The {purpose} port {port} can't be used on {host}: {refusal}. Stop what is there, or pass another "
            f"clipper_{purpose}_port= (0 for any free port)."
        )


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


def _free_run(host: str, count: int) -> int:
    for _ in range(1000):
        first = random.randrange(FREE_RANGE.start, FREE_RANGE.stop - count)
        if not any(_refusal(host, port) for port in range(first, first + count)):
            return first
    raise ClipperException(f"No {count} free ports in a row were found on {host}: name one that is free.")
