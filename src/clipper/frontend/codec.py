"""JSON bodies to input bytes, answers to JSON. No JSON is built twice: outputs are spliced in.

Bodies that would take long are read by ``slices.py``, with the decoders of this file.
"""

from __future__ import annotations

import binascii
import functools
import struct
from collections.abc import Callable, Sized
from typing import Any, Final

import msgspec

from clipper.errors import JsonError
from clipper.frontend.bodies import Body, Doubles, Floats, Integers, Text
from clipper.frontend.numbers import pack_input
from clipper.frontend.request import PredictRequest
from clipper.prediction import Prediction
from clipper.rpc.wire import InputType
from clipper.types import ModelVersion

MAX_BATCH: Final = 100_000
"""Most queries of one request."""

PREDICT_SCHEMA: Final = (
    '{"input": [double] | [int] | [float] | string | base64 string, or "input_batch": [input, ...], '
    '"version"?: string, "user_id"?: string | int}'
)
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What ``PredictDecoder.parse`` raises."""


@functools.lru_cache(maxsize=1024)
def _format(length: int, code: str) -> struct.Struct:
    return struct.Struct(f"<{length}{code}")


def _packer(code: str) -> Callable[[list[Any]], bytes]:
    """Packing by ``struct`` is twice as fast as ``array`` for a list, if the format is at hand."""
    return lambda values: _format(len(values), code).pack(*values)


def decode_base64(text: str) -> bytes:
    """JsonError unless it is base64; padding may be left out."""
    digits = text.rstrip("=")
    missing = -len(digits) % 4
    try:
        if len(text) - len(digits) > missing:
            raise ValueError("Excess padding")
        return binascii.a2b_base64(digits + "=" * missing, strict_mode=True)
    except ValueError as error:
        raise not_base64(str(error)) from None


def not_base64(why: str) -> JsonError:
    return complaint(f"input is not base64 (alphabet A-Z a-z 0-9 + /): {why}")


_CODECS: Final[dict[InputType, tuple[type[Body], Callable[[Any], bytes]]]] = {
    InputType.DOUBLES: (Doubles, _packer("d")),
    InputType.FLOATS: (Floats, _packer("f")),
    InputType.INTEGERS: (Integers, _packer("i")),
    InputType.STRINGS: (Text, str.encode),
    InputType.BYTES: (Text, decode_base64),
}
_CODES: Final = {InputType.DOUBLES: "d", InputType.FLOATS: "f", InputType.INTEGERS: "i"}


class PredictDecoder:
    """Reads the JSON predict bodies of applications of one input type.

    ``parse`` makes a ``Body`` with lists and strings of a JSON text, ``to_bytes`` what the model gets of one input.
    """

    __slots__ = ("_code", "input_type", "parse", "to_bytes")

    def __init__(self, input_type: InputType) -> None:
        body, self.to_bytes = _CODECS[input_type]
        self.parse: Callable[[bytes | bytearray], Any] = msgspec.json.Decoder(body).decode
        self.input_type = input_type
        self._code = _CODES.get(input_type, "")

    def decode(self, body: bytes | bytearray) -> PredictRequest:
        """Raises JsonError, saying what is wrong where, for anything but a well-formed request."""
        if self._code and isinstance(body, bytes):
            packed = pack_input(body, self._code)
            if packed is not None:
                return PredictRequest([packed])
        try:
            parsed = self.parse(body)
        except UNREADABLE as error:
            raise self.refusal(error, body) from None
        check_inputs(parsed)
        batch = parsed.input_batch
        return as_request(parsed, list(map(self.to_bytes, [parsed.input] if batch is None else batch)))

    def refusal(self, error: Exception, body: bytes | bytearray, text: str = "") -> JsonError:
        """The answer to a ``body`` that ``parse`` can't read; ``text`` may stand for what ``error`` says."""
        if isinstance(error, RecursionError):
            return complaint("the JSON is nested too deeply")
        text = text or str(error)
        return complaint(f"{text}{_hint(text, body)} (the application takes {self.input_type.value})")


def check_inputs(body: Any) -> None:
    """JsonError unless the fields of a ``Body`` hold either one input or a batch, and no input is empty."""
    single, batch = body.input, body.input_batch
    if (single is None) is (batch is None):
        raise complaint(_INPUT_KEYS[single is None])
    if batch is None:
        if not single:
            raise complaint("input is empty: a query needs at least one element")
        return
    check_size(batch)
    if not all(batch):
        position = next(i for i, each in enumerate(batch) if not each)
        raise complaint(f"input_batch[{position}] is empty: a query needs at least one element")


def check_size(batch: Sized) -> None:
    """JsonError if there are more than ``MAX_BATCH`` queries."""
    if len(batch) > MAX_BATCH:
        raise complaint(f"input_batch has more than {MAX_BATCH} queries: send several")


def as_request(body: Any, inputs: list[bytes]) -> PredictRequest:
    """What the fields of a ``Body`` ask, whose inputs have become ``inputs``."""
    user_id = body.uid if body.user_id is None else body.user_id
    return PredictRequest(inputs, body.input_batch is not None, body.version, user_id)


def _hint(error: str, body: bytes | bytearray) -> str:
    """What the parser's ``error`` does not tell of a body that it can't read."""
    if not body.strip():
        return ": the body is empty"
    if "malformed" in error and (b"NaN" in body or b"Infinity" in body):
        return ": JSON has no NaN or Infinity, replace them by numbers or send application/octet-stream"
    if "truncated" in error and b"\\ud" in body.lower():
        return ": \\ud800 to \\udfff must come in pairs"
    return ""


_INPUT_KEYS: Final = {
    True: "JSON object does not have required keys input or input_batch",
    False: "JSON object has both input and input_batch: send one of them",
}


def complaint(detail: str) -> JsonError:
    return JsonError(f"Error parsing JSON: {detail}. Expected JSON schema: {PREDICT_SCHEMA}")


def encode_prediction(prediction: Prediction) -> bytes:
    """One answer; the output is spliced in as the JSON text that the container made."""
    reason, models = prediction.reason, prediction.models
    if reason is None and models is None:
        query_id = str(prediction.query_id).encode()  # joined in a third of the time that % takes
        return b"".join((b'{"query_id":', query_id, b',"output":', prediction.output, b',"default":false}'))
    return b'{"query_id":%d,"output":%b,"default":%b%b}' % (
        prediction.query_id,
        prediction.output,
        b"false" if reason is None else _why(prediction.explanation, reason),
        b"" if models is None else _who(prediction.confidence, models, prediction.missing),
    )


def _why(explanation: str, reason: str) -> bytes:
    return b'true,"default_explanation":%b,"default_reason":"%b"' % (
        msgspec.json.encode(explanation),
        reason.encode(),
    )


def _who(confidence: float, models: tuple[ModelVersion, ...], missing: tuple[ModelVersion, ...]) -> bytes:
    who = b',"confidence":%b,"models":%b' % (msgspec.json.encode(confidence), _names(models))
    return who + b',"missing":%b' % _names(missing) if missing else who


@functools.lru_cache(maxsize=1024)
def _names(models: tuple[ModelVersion, ...]) -> bytes:
    return msgspec.json.encode([str(model) for model in models])


def encode_predictions(answers: list[bytes]) -> bytes:
    """The answers of a batch, each as ``encode_prediction`` made it, in its order."""
    return b'{"batch_predictions":[%b]}' % b",".join(answers)
