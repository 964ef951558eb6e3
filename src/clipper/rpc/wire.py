"""The protocol between query frontends and model containers, without I/O. ``docs/wire.md`` is its description.

This file imports only the standard library: it travels to the model's environment inside the container runtime.
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from types import NoneType
from typing import Final, NamedTuple

PROTOCOL_VERSION: Final = 1
MAX_PAYLOAD: Final = 1 << 30
MAX_OUTCOMES: Final = 256 << 20
ERROR_FLAG: Final = 1 << 31
_MAX_U32: Final = (1 << 32) - 1

_HEADER: Final = struct.Struct("<IB3xIIII")
HEADER_BYTES: Final = _HEADER.size
_PADDING: Final = tuple(bytes(n) for n in range(8))

Buffer = bytes | bytearray | memoryview


class WireError(Exception):
    """The other end broke the protocol; the connection can't be used any more."""


class Kind(enum.IntEnum):
    HELLO = 1
    WELCOME = 2
    REFUSED = 3
    BATCH = 4
    OUTCOMES = 5
    GOODBYE = 6


class InputType(enum.Enum):
    """The five element types; the value is the canonical name."""

    BYTES = "bytes"
    INTEGERS = "integers"
    FLOATS = "floats"
    DOUBLES = "doubles"
    STRINGS = "strings"


_ALIASES: Final = {
    alias: kind
    for kind, aliases in {
        InputType.BYTES: ("bytes", "byte", "b"),
        InputType.INTEGERS: ("integers", "ints", "integer", "int", "i"),
        InputType.FLOATS: ("floats", "float", "f"),
        InputType.DOUBLES: ("doubles", "double", "d"),
        InputType.STRINGS: ("strings", "string", "strs", "str", "s"),
    }.items()
    for alias in aliases
}


def parse_input_type(text: str) -> InputType:
    """The type that a name or alias means; ValueError, listing the names, if it means none."""
    try:
        return _ALIASES[text]
    except KeyError:
        names = ", ".join(kind.value for kind in InputType)
        raise ValueError(f"{text} is not a valid input string: the input types are {names}") from None


@dataclass(frozen=True, slots=True)
class Hello:
    """How a container presents itself, once its model is loaded and it can answer."""

    model_name: str
    model_version: str
    input_type: str
    replica_id: int | None = None
    pid: int | None = None
    protocol: int = PROTOCOL_VERSION


_HELLO_FIELDS: Final = {
    "model_name": (str,),
    "model_version": (str,),
    "input_type": (str,),
    "replica_id": (int, NoneType),
    "pid": (int, NoneType),
}


class Outcome(NamedTuple):
    """What became of one query of a batch: a JSON text as the output, or the text of an error."""

    ok: bool
    data: bytes


class Frame(NamedTuple):
    """One message. ``payload`` is writable and belongs to the receiver."""

    kind: int
    batch_id: int
    items: int
    budget_micros: int
    payload: memoryview


def encode_frame(
    kind: Kind, payload: Sequence[Buffer] = (), *, batch_id: int = 0, count: int = 0, budget_micros: int = 0
) -> bytes:
    """One message in one buffer, padded with zeros to a multiple of 8 bytes."""
    length = sum(map(len, payload))
    padding = -length % 8
    if length + padding > MAX_PAYLOAD:
        raise WireError(f"a message of {length} bytes is over the limit of {MAX_PAYLOAD} bytes")
    header = _HEADER.pack(length + padding, kind, batch_id, count, budget_micros, 0)
    return b"".join((header, *payload, _PADDING[padding]))


def encode_hello(hello: Hello) -> bytes:
    return encode_frame(Kind.HELLO, (json.dumps(asdict(hello)).encode(),))


def decode_hello(frame: Frame) -> Hello:
    """WireError for anything but a HELLO of this protocol version; fields that this end does not know are ignored."""
    if frame.kind != Kind.HELLO:
        raise WireError(f"expected HELLO as the first message, got kind {frame.kind}")
    try:
        fields = json.loads(bytes(frame.payload).rstrip(b"\0"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"HELLO can't be read: {error}") from None
    if not isinstance(fields, dict):
        raise WireError("HELLO must be a JSON object")
    if fields.get("protocol") != PROTOCOL_VERSION:
        raise WireError(f"the container speaks protocol {fields.get('protocol')}, this frontend {PROTOCOL_VERSION}")
    for name, kinds in _HELLO_FIELDS.items():
        if type(fields.get(name)) not in kinds:
            raise WireError(f"HELLO has no valid {name}: {fields.get(name)!r}")
    return Hello(**{name: fields[name] for name in _HELLO_FIELDS if name in fields})


def encode_welcome() -> bytes:
    return encode_frame(Kind.WELCOME)


def encode_refused(reason: str) -> bytes:
    return encode_frame(Kind.REFUSED, (reason.encode(errors="backslashreplace"),))


def encode_goodbye() -> bytes:
    """Said by a container that stops, and returned by the frontend once it will send no more batches."""
    return encode_frame(Kind.GOODBYE)


def encode_batch(batch_id: int, inputs: Sequence[Buffer], budget_micros: int) -> bytes:
    """A batch of queries; ``budget_micros`` is the time in which answers are still of use (0: not told)."""
    lengths = _encode_lengths([len(each) for each in inputs])
    return encode_frame(
        Kind.BATCH,
        (lengths, *inputs),
        batch_id=batch_id,
        count=len(inputs),
        budget_micros=min(max(budget_micros, 0), _MAX_U32),
    )


def encode_outcomes(batch_id: int, outcomes: Sequence[Outcome], worked_micros: int = 0) -> bytes:
    """The answer to a batch: one outcome for each query, in its order.

    ``worked_micros`` is the time the container spent on it (0: not told); it travels where a batch has its budget.
    """
    lengths = _encode_lengths([len(data) if ok else len(data) | ERROR_FLAG for ok, data in outcomes])
    payload = (lengths, *(data for _, data in outcomes))
    return encode_frame(
        Kind.OUTCOMES, payload, batch_id=batch_id, count=len(outcomes), budget_micros=min(worked_micros, 0xFFFFFFFF)
    )


def decode_batch(frame: Frame) -> list[memoryview]:
    """Views of a batch's inputs, without a copy."""
    ends = list(accumulate(decode_lengths(frame), initial=item_offset(frame.items)))
    return [frame.payload[start:end] for start, end in pairwise(ends)]


def decode_outcomes(frame: Frame) -> list[Outcome]:
    """The outcomes of a batch; their data is copied out, since it outlives the message."""
    payload = bytes(frame.payload)
    outcomes = []
    start = item_offset(frame.items)
    for flagged in _decode_u32s(frame):
        end = start + (flagged & ~ERROR_FLAG)
        outcomes.append(tuple.__new__(Outcome, (flagged < ERROR_FLAG, payload[start:end])))
        start = end
    _check_end(frame, start)
    return outcomes


def decode_lengths(frame: Frame) -> tuple[int, ...]:
    """The lengths, in bytes, of a batch's inputs, for receivers that read them in place from ``item_offset`` on."""
    lengths = _decode_u32s(frame)
    _check_end(frame, item_offset(frame.items) + sum(lengths))
    return lengths


def item_offset(count: int) -> int:
    """Where, in the payload of a BATCH or OUTCOMES message of ``count`` items, the first item starts."""
    return 4 * count + (-4 * count) % 8


def decode_text(frame: Frame) -> str:
    """The text of a REFUSED message."""
    return bytes(frame.payload).rstrip(b"\0").decode(errors="replace")


def _encode_lengths(lengths: list[int]) -> bytes:
    if len(lengths) % 2:
        lengths = [*lengths, 0]
    try:
        return struct.pack(f"<{len(lengths)}I", *lengths)
    except struct.error:
        raise WireError(f"an item is over the limit of {MAX_PAYLOAD} bytes") from None


def _decode_u32s(frame: Frame) -> tuple[int, ...]:
    if item_offset(frame.items) > len(frame.payload):
        raise WireError(f"a message of {len(frame.payload)} bytes can't hold the lengths of {frame.items} items")
    return struct.unpack_from(f"<{frame.items}I", frame.payload)


def _check_end(frame: Frame, end: int) -> None:
    if end > len(frame.payload):
        raise WireError(f"the items of a message take {end} bytes, but it has {len(frame.payload)}")


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
            target = self.buffer()
            taken = min(len(target), len(source))
            target[:taken] = source[:taken]
            source = source[taken:]
            frame = self.advance(taken)
            if frame is not None:
                frames.append(frame)
        return frames

    def _begin_payload(self) -> bool:
        length: int = _HEADER.unpack(self._header)[0]
        if length > self._max_payload or length % 8:
            raise WireError(f"a message announces {length} bytes: not a multiple of 8 up to {self._max_payload}")
        self._payload = memoryview(bytearray(length))
        self._target, self._filled = self._payload, 0
        return length > 0

    def _finish(self) -> Frame:
        assert self._payload is not None
        _, kind, batch_id, count, budget_micros, _ = _HEADER.unpack(self._header)
        frame = Frame(kind, batch_id, count, budget_micros, self._payload)
        self._payload = None
        self._target, self._filled = self._header, 0
        return frame
