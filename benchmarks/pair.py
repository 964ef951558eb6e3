"""A uvloop front and one other process, joined by a Unix socket: what ``prototype`` and ``relay`` have in common."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TypeVar

import uvloop

Link = TypeVar("Link", bound=asyncio.Protocol)


def run(
    port: int, work: Callable[[socket.socket], None], link: type[Link], client: Callable[[Link], asyncio.Protocol]
) -> None:
    """Forks a process that does ``work``, and serves HTTP beside it: ``link`` is the front's end of their socket."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        work(theirs)
        os._exit(0)
    theirs.close()
    uvloop.run(_serve(port, ours, link, client))


async def _serve(
    port: int, connection: socket.socket, link: type[Link], client: Callable[[Link], asyncio.Protocol]
) -> None:
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    _, linked = await loop.create_unix_connection(link, sock=connection)
    server = await loop.create_server(lambda: client(linked), "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()
