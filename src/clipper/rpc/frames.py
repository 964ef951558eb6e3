"""Messages in a stream of bytes: a header of 24 bytes, and a payload padded to a multiple of 8."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

MAX_PAYLOAD: Final = 1 << 30

_HEADER: Final = struct.Struct("<IB3xIIII")
HEADER_BYTES: Final = _HEADER.size
_PADDING: Final = tuple(bytes(n) for n in range(8))

Buffer = bytes | bytearray | memoryview


class WireError(Exception):
    """The other end broke the protocol; the connection can't be used any more."""


class Frame:
    """One message. ``payload`` is writable and belongs to the receiver; its items are followed by ``id_bytes`` bytes
    of request ids."""

    __slots__ = ("batch_id", "budget_micros", "id_bytes", "items", "kind", "payload")

    def __init__(
        self, kind: int, batch_id: int, items: int, budget_micros: int, payload: memoryview, id_bytes: int = 0
    ) -> None:
        self.kind = kind
        self.batch_id = batch_id
        self.items = items
        self.budget_micros = budget_micros
        self.payload = payload
        self.id_bytes = id_bytes


def encode_frame(
    kind: int,
    payload: Sequence[Buffer] = (),
    *,
    batch_id: int = 0,
    count: int = 0,
    budget_micros: int = 0,
    id_bytes: int = 0,
) -> bytes:
    """One message in one buffer, padded with zeros to a multiple of 8 bytes."""
    length = sum(map(len, payload))
    padding = -length % 8
    if length + padding > MAX_PAYLOAD:
        raise WireError(f"a message of {length} bytes is over the limit of {MAX_PAYLOAD} bytes")
    header = _HEADER.pack(length + padding, kind, batch_id, count, budget_micros, id_bytes)
    return b"".join((header, *payload, _PADDING[padding]))


class FrameReader:
    """Turns received bytes into messages: fill ``buffer()``, then tell how much with ``advance()``.

    The payload of each message gets a buffer of its own, filled in place, so a receiver may keep or write it.
    """

    __slots__ = ("_filled", "_header", "_max_payload", "_payload", "_target")

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self._max_payload = max_payload
        self._header = memoryview(bytearray(HEADER_BYTES))
        self._payload: memoryview | None = None
        self._target = self._header
        self._filled = 0

    def buffer(self) -> memoryview:
        """Where the next received bytes go; never empty."""
        return self._target[self._filled :]

    def advance(self, received: int) -> Frame | None:
        """Takes note of ``received`` bytes in ``buffer()``; the message, when they complete one."""
        self._filled += received
        if self._filled < len(self._target):
            return None
        if self._payload is None and self._begin_payload():
            return None
        return self._finish()

    def feed(self, data: Buffer) -> list[Frame]:
        """The messages that ``data`` completes, for callers that can't receive in place."""
        frames = []
        source = memoryview(data)
        while source:
            if not self._filled and self._payload is None and (frame := self._whole(source)):
                frames.append(frame)
                source = source[HEADER_BYTES + len(frame.payload) :]
                continue
            target = self.buffer()
            taken = min(len(target), len(source))
            target[:taken] = source[:taken]
            source = source[taken:]
            frame = self.advance(taken)
            if frame is not None:
                frames.append(frame)
        return frames

    def _whole(self, source: memoryview) -> Frame | None:
        """The message that ``source`` begins with, if all of it is there: most are, and need no buffer to grow in."""
        if len(source) < HEADER_BYTES:
            return None
        length, kind, batch_id, count, budget_micros, id_bytes = _HEADER.unpack_from(source)
        self._check(length)
        payload = source[HEADER_BYTES : HEADER_BYTES + length]
        if len(payload) < length:
            return None
        return Frame(kind, batch_id, count, budget_micros, memoryview(bytearray(payload)), id_bytes)

    def _check(self, length: int) -> None:
        if length > self._max_payload or length % 8:
            raise WireError(f"a message announces {length} bytes: not a multiple of 8 up to {self._max_payload}")

    def _begin_payload(self) -> bool:
        length: int = _HEADER.unpack(self._header)[0]
        self._check(length)
        self._payload = memoryview(bytearray(length))
        self._target, self._filled = self._payload, 0
        return length > 0

    def _finish(self) -> Frame:
        assert self._payload is not None
        _, kind, batch_id, count, budget_micros, id_bytes = _HEADER.unpack(self._header)
        frame = Frame(kind, batch_id, count, budget_micros, self._payload, id_bytes)
        self._payload = None
        self._target, self._filled = self._header, 0
        return frame
