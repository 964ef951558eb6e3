"""The protocol between query frontends and model containers, without I/O. ``docs/wire.md`` is its description.

This file is about what messages say, ``frames.py`` about where each begins and ends. Both import only the standard
library: they travel to the model's environment inside the container runtime.
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

from clipper.rpc.frames import HEADER_BYTES, MAX_PAYLOAD, Buffer, Frame, FrameReader, WireError, encode_frame

__all__ = [
    "HEADER_BYTES",
    "MAX_PAYLOAD",
    "Buffer",
    "Frame",
    "FrameReader",
    "Hello",
    "InputType",
    "Kind",
    "Outcome",
    "WireError",
    "parse_input_type",
]

PROTOCOL_VERSION: Final = 1
MAX_OUTCOMES: Final = 256 << 20
ERROR_FLAG: Final = 1 << 31
_MAX_U32: Final = (1 << 32) - 1


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
    """How a container presents itself, once its model is loaded and it can answer.

    ``metrics`` is the ``host:port`` of its own metrics, if it has any.
    """

    model_name: str
    model_version: str
    input_type: str
    replica_id: int | None = None
    pid: int | None = None
    metrics: str | None = None
    protocol: int = PROTOCOL_VERSION


_HELLO_FIELDS: Final = {
    "model_name": (str,),
    "model_version": (str,),
    "input_type": (str,),
    "replica_id": (int, NoneType),
    "pid": (int, NoneType),
    "metrics": (str, NoneType),
}


class Outcome(NamedTuple):
    """What became of one query of a batch: a JSON text as the output, or the text of an error."""

    ok: bool
    data: bytes


class Outcomes(NamedTuple):
    """The outcomes of a batch as they come: the texts, and at which places these are of errors."""

    texts: list[bytes]
    errors: frozenset[int] = frozenset()


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


def encode_batch(
    batch_id: int, inputs: Sequence[Buffer], budget_micros: int, request_ids: Sequence[str] = ()
) -> bytes:
    """A batch of queries; ``budget_micros`` is the time in which answers are still of use (0: not told).

    ``request_ids``: none, or what each query's client calls its request; empty where it does not say.
    """
    lengths = _encode_lengths([len(each) for each in inputs])
    ids = "\n".join(request_ids).encode() if request_ids else b""
    return encode_frame(
        Kind.BATCH,
        (lengths, *inputs, ids),
        batch_id=batch_id,
        count=len(inputs),
        budget_micros=min(max(budget_micros, 0), _MAX_U32),
        id_bytes=len(ids),
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


def decode_outcomes(frame: Frame) -> Outcomes:
    """The outcomes of a batch; their texts are copied out, since they outlive the message."""
    payload = bytes(frame.payload)
    lengths = _decode_u32s(frame)
    errors: frozenset[int] = frozenset()
    if lengths and max(lengths) >= ERROR_FLAG:
        errors = frozenset(place for place, flagged in enumerate(lengths) if flagged >= ERROR_FLAG)
        lengths = tuple(flagged & ~ERROR_FLAG for flagged in lengths)
    ends = list(accumulate(lengths, initial=item_offset(frame.items)))
    _check_end(frame, ends[-1])
    return Outcomes([payload[start:end] for start, end in pairwise(ends)], errors)


def decode_request_ids(frame: Frame) -> list[str]:
    """What the clients of a batch call their requests, one for each query, empty where they don't; or none at all."""
    if not frame.id_bytes:
        return []
    begin = item_offset(frame.items) + sum(_decode_u32s(frame))
    _check_end(frame, begin + frame.id_bytes)
    ids = str(frame.payload[begin : begin + frame.id_bytes], "utf-8", "replace").split("\n")
    if len(ids) != frame.items:
        raise WireError(f"a batch of {frame.items} queries comes with {len(ids)} request ids")
    return ids


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
