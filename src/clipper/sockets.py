"""Writing to sockets without waiting for the event loop."""

from __future__ import annotations

import asyncio
import os


class DirectWriter:
    """Writes to a transport's socket at once; what the socket does not take, the transport does.

    uvloop's transports write at the end of the loop's turn: until then the other end, on another core, has nothing
    to do. Over TLS, and where there is no socket, everything goes to the transport.
    """

    __slots__ = ("_descriptor", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        plain = transport.get_extra_info("sslcontext") is None
        socket = transport.get_extra_info("socket") if plain else None
        self._descriptor = -1 if socket is None else socket.fileno()

    def write(self, data: bytes) -> None:
        """Keeps the order of writes. On a closing transport it does nothing: the descriptor may be another's."""
        transport = self._transport
        if transport.is_closing():
            return
        if self._descriptor >= 0 and not transport.get_write_buffer_size():
            try:
                sent = os.write(self._descriptor, data)
            except OSError:  # it is full, or broken: then the transport's write tells the protocol
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        transport.write(data)
