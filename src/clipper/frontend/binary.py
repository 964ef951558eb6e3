"""Bodies that are not JSON: the bytes a model gets, as they are.

All numbers are little-endian. ``application/octet-stream`` is one input, its elements one after the other.
``application/x-clipper-batch`` is many: their number and the length of each in bytes, unsigned in 4 bytes, and then
the inputs, without gaps, as long as those lengths say. This form takes inputs of any lengths, and is written with one
line in any language.
"""

from __future__ import annotations

import codecs
import functools
import io
import struct
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from clipper.errors import BadRequest
from clipper.frontend.codec import MAX_BATCH
from clipper.frontend.request import PredictRequest
from clipper.frontend.turns import Steps
from clipper.rpc.wire import InputType, parse_input_type

OCTETS: Final = b"application/octet-stream"
BATCH: Final = b"application/x-clipper-batch"

STEP_BYTES: Final = 262_144
STEP_INPUTS: Final = 256

_ELEMENT_BYTES: Final = {
    InputType.DOUBLES: 8,
    InputType.FLOATS: 4,
    InputType.INTEGERS: 4,
    InputType.BYTES: 1,
    InputType.STRINGS: 1,
}


@dataclass(frozen=True, slots=True)
class Media:
    """A binary content type; ``declared`` is its parameter ``type``, which says what the elements are."""

    is_batch: bool
    declared: str | None


@functools.lru_cache(maxsize=256)
def media_of(content_type: bytes) -> Media | None:
    """What a ``Content-Type`` means, if it is one of the two."""
    kind, *parameters = (part.strip() for part in content_type.lower().split(b";"))
    if kind not in (OCTETS, BATCH):
        return None
    declared = dict(parameter.partition(b"=")[::2] for parameter in parameters).get(b"type")
    return Media(kind == BATCH, None if declared is None else declared.strip(b'"').decode("latin-1"))


def read_binary(
    media: Media, input_type: InputType, body: bytes | bytearray, query_string: bytes
) -> Steps[PredictRequest]:
    """Raises BadRequest, saying what does not fit what, for anything but well-formed inputs of ``input_type``."""
    _check_type(media, input_type)
    fields = _read_query(query_string)
    if media.is_batch:
        inputs = yield from _read_batch(body, input_type)
    else:
        _check_length(len(body), "the body", input_type)
        inputs = [(yield from _as_input(body, "the body", input_type))]
    return PredictRequest(inputs, media.is_batch, fields.get("version"), fields.get("user_id", fields.get("uid")))


def _check_type(media: Media, input_type: InputType) -> None:
    if media.declared is None:
        return
    if not media.declared:
        raise BadRequest(
            f"the parameter type of the Content-Type is empty: write type={input_type.value}, or leave it out"
        )
    try:
        declared = parse_input_type(media.declared)
    except ValueError as error:
        raise BadRequest(f"the parameter type of the Content-Type: {error}") from None
    if declared is not input_type:
        raise BadRequest(f"the body is said to be {declared.value}, the application takes {input_type.value}")


def _read_query(query_string: bytes) -> dict[str, str]:
    if not query_string:
        return {}
    pairs = parse_qsl(query_string.decode(errors="replace"), keep_blank_values=True)
    fields = dict(pairs)
    unknown = fields.keys() - {"version", "user_id", "uid"}
    if unknown:
        raise BadRequest(f"unknown in the query string: {min(unknown)[:200]!r}; it may hold version and user_id")
    if len(fields) < len(pairs):
        raise BadRequest("the query string names version or user_id more than once: give each once")
    if fields.get("version") == "":
        raise BadRequest("the version in the query string is empty: name one, or leave it out for the current one")
    return fields


def _read_batch(body: bytes | bytearray, input_type: InputType) -> Steps[list[bytes]]:
    if len(body) < 4:
        length = f"has {len(body)} bytes" if body else "is empty"
        raise BadRequest(f"the body {length}: a batch begins with the number of its inputs, in 4 bytes")
    count = int.from_bytes(body[:4], "little")
    start = 4 + 4 * count
    if count > MAX_BATCH:
        raise BadRequest(f"the batch has {count} inputs, the most is {MAX_BATCH}: send several")
    if len(body) < start:
        raise BadRequest(f"the body has {len(body)} bytes: a batch of {count} inputs has {start} before the first")
    inputs: list[bytes] = []
    unpaused = 0
    for (length,) in struct.iter_unpack("<I", memoryview(body)[4:start]):
        which = f"input {len(inputs)}"
        _check_length(length, which, input_type)
        inputs.append((yield from _as_input(memoryview(body)[start : start + length], which, input_type)))
        start += length
        unpaused += length
        if len(inputs) % STEP_INPUTS == 0 or unpaused > STEP_BYTES:
            unpaused = 0
            yield
    if start != len(body):
        raise BadRequest(f"the body has {len(body)} bytes: by its lengths, the batch has {start}")
    return inputs


def _check_length(length: int, of_what: str, input_type: InputType) -> None:
    size = _ELEMENT_BYTES[input_type]
    if length == 0:
        raise BadRequest(f"{of_what} is empty: a query needs at least one element")
    if length % size:
        raise BadRequest(f"{of_what} has {length} bytes: {input_type.value} have {size} bytes each")


def _as_input(data: bytes | bytearray | memoryview, which: str, input_type: InputType) -> Steps[bytes]:
    """``data`` itself if that is possible."""
    if input_type is InputType.STRINGS:
        yield from _check_text(data, which)
    if isinstance(data, bytes):
        return data
    if len(data) <= STEP_BYTES:
        return bytes(data)
    copied = io.BytesIO()
    for start in range(0, len(data), STEP_BYTES):
        copied.write(memoryview(data)[start : start + STEP_BYTES])
        yield
    return copied.getvalue()


def _check_text(data: bytes | bytearray | memoryview, which: str) -> Steps[None]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), STEP_BYTES):
            decoder.decode(memoryview(data)[start : start + STEP_BYTES])
            if start:
                yield
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise BadRequest(f"{which} is not UTF-8: {error.reason}") from None
