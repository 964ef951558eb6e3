"""Metrics of sibling frontends: they share the query port, so whichever is asked must answer for all.

Each frontend serves its snapshot on a private Unix socket: who connects gets 4 bytes, the little-endian length of
what follows, then the snapshot as MessagePack, and the connection is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import struct
from collections.abc import Callable
from typing import Final, cast

import msgspec

from clipper.errors import ConfigError
from clipper.snapshot import ProcessSnapshot, Snapshot

PATIENCE: Final = 0.5
"""Seconds that a peer has to give its whole answer, or to take ours."""
MAX_SNAPSHOT: Final = 64 << 20

_LENGTH: Final = struct.Struct("<I")
_MISSING: Final = Snapshot(process=ProcessSnapshot(missing=1))
_DECODER: Final = msgspec.msgpack.Decoder(Snapshot)

logger = logging.getLogger(__name__)


class _Answer(asyncio.Protocol):
    """A connection on the own socket: the snapshot is written, and who does not take it in time is let go."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.WriteTransport, transport)  # uvloop's are not that by inheritance
        self._limit = asyncio.get_running_loop().call_later(PATIENCE, stream.abort)
        payload = msgspec.msgpack.encode(self._snapshot())
        stream.write(_LENGTH.pack(len(payload)) + payload)
        stream.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._limit is not None:
            self._limit.cancel()


class MetricsPeers:
    """This frontend's metrics socket and the way to its peers'.

    ``sockets`` is the setting: the paths of the own socket and then the peers', separated by commas. Without a peer
    nothing is opened.
    """

    def __init__(self, sockets: str) -> None:
        self._own, *self._peers = sockets.split(",")
        self._server: asyncio.AbstractServer | None = None
        self._missing: set[str] = set()

    async def start(self, snapshot: Callable[[], Snapshot]) -> None:
        """Serves what ``snapshot`` returns to the peers; a socket that a dead process left behind is replaced.

        Raises:
            ConfigError: the socket can't be made.
        """
        if not self._peers:
            return
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_unix_server(lambda: _Answer(snapshot), self._own)
            os.chmod(self._own, 0o600)
        except OSError as error:
            raise ConfigError(
                f"the metrics socket {self._own!r} can't be made ({error}): "
                "name one of at most 100 bytes, in a folder that exists and is yours, with --metrics-sockets"
            ) from error

    async def gather(self) -> list[Snapshot]:
        """The peers' snapshots, within ``PATIENCE``; for one that does not come, one that says it is missing."""
        return list(await asyncio.gather(*map(self._ask, self._peers)))

    async def stop(self) -> None:
        """Closes and removes the own socket."""
        if self._server is not None:
            self._server.close()
            self._server = None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._own)

    async def _ask(self, peer: str) -> Snapshot:
        try:
            async with asyncio.timeout(PATIENCE):
                snapshot = _DECODER.decode(await _receive(peer))
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            if peer not in self._missing:
                self._missing.add(peer)
                logger.warning("metrics lack those of the frontend at %s, which does not tell them: %r", peer, error)
            return _MISSING
        self._missing.discard(peer)
        return snapshot


async def _receive(peer: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(peer)
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_SNAPSHOT:
            raise OSError(f"it announces {length} bytes, more than the {MAX_SNAPSHOT} that metrics may take")
        return await reader.readexactly(length)
    finally:
        writer.transport.abort()
