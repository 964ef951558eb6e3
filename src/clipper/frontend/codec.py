"""Request bodies to input bytes, answers to response bodies. No JSON is built twice: outputs are spliced in."""

from __future__ import annotations

import binascii
from array import array
from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from clipper.errors import JsonError
from clipper.processor import Prediction
from clipper.rpc.wire import InputType

MAX_BATCH: Final = 100_000
"""Most queries of one ``input_batch``."""

PREDICT_SCHEMA: Final = (
    '{"input": [double] | [int] | [float] | string | base64 string, or "input_batch": [input, ...], '
    '"version"?: string, "user_id"?: string | int}'
)
_FLOAT32_MAX: Final = 3.4028234663852886e38

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Float32 = Annotated[float, Meta(ge=-_FLOAT32_MAX, le=_FLOAT32_MAX)]


class _Body(Struct, forbid_unknown_fields=True, gc=False):
    version: str | UnsetType = UNSET
    user_id: str | int | UnsetType = UNSET
    uid: str | int | UnsetType = UNSET


class _Doubles(_Body, forbid_unknown_fields=True, gc=False):
    input: list[float] | UnsetType = UNSET
    input_batch: list[list[float]] | UnsetType = UNSET


class _Floats(_Body, forbid_unknown_fields=True, gc=False):
    input: list[Float32] | UnsetType = UNSET
    input_batch: list[list[Float32]] | UnsetType = UNSET


class _Integers(_Body, forbid_unknown_fields=True, gc=False):
    input: list[Int32] | UnsetType = UNSET
    input_batch: list[list[Int32]] | UnsetType = UNSET


class _Text(_Body, forbid_unknown_fields=True, gc=False):
    input: str | UnsetType = UNSET
    input_batch: list[str] | UnsetType = UNSET


class PredictRequest(NamedTuple):
    """What a body asks: its inputs as the bytes a model gets, and whether they came as ``input_batch``."""

    inputs: list[bytes]
    is_batch: bool
    version: str | None
    user_id: str | int | None


def _pack(typecode: str) -> Callable[[Any], bytes]:
    return lambda values: array(typecode, values).tobytes()


def _decode_base64(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError as error:
        raise JsonError(_cause(f"input is not base64 (alphabet A-Z a-z 0-9 + /): {error}")) from None


_CODECS: Final[dict[str, tuple[type[Any], Callable[[Any], bytes]]]] = {
    InputType.DOUBLES.value: (_Doubles, _pack("d")),
    InputType.FLOATS.value: (_Floats, _pack("f")),
    InputType.INTEGERS.value: (_Integers, _pack("i")),
    InputType.STRINGS.value: (_Text, str.encode),
    InputType.BYTES.value: (_Text, _decode_base64),
}


class PredictDecoder:
    """Reads the predict bodies of applications of one input type."""

    __slots__ = ("_decode", "_input_type", "_to_bytes")

    def __init__(self, input_type: str) -> None:
        body, self._to_bytes = _CODECS[input_type]
        self._decode: Callable[[bytes | bytearray], Any] = msgspec.json.Decoder(body).decode
        self._input_type = input_type

    def decode(self, body: bytes | bytearray) -> PredictRequest:
        """Raises JsonError, saying what is wrong where, for anything but a well-formed request."""
        try:
            request = self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            detail = f"{error}{_hint(str(error), body)} (the application takes {self._input_type})"
            raise JsonError(_cause(detail)) from None
        except RecursionError:
            raise JsonError(_cause("the JSON is nested too deeply")) from None
        if (request.input is UNSET) is (request.input_batch is UNSET):
            raise JsonError(_cause(_INPUT_KEYS[request.input is UNSET]))
        inputs = self._batch(request.input_batch) if request.input is UNSET else [self._one(request.input)]
        user_id = request.uid if request.user_id is UNSET else request.user_id
        return PredictRequest(inputs, request.input is UNSET, _or_none(request.version), _or_none(user_id))

    def _one(self, value: Any) -> bytes:
        if not value:
            raise JsonError(_cause("input is empty: a query needs at least one element"))
        return self._to_bytes(value)

    def _batch(self, values: list[Any]) -> list[bytes]:
        if len(values) > MAX_BATCH:
            raise JsonError(_cause(f"input_batch has {len(values)} queries, the most is {MAX_BATCH}: send several"))
        if not all(values):
            position = next(i for i, value in enumerate(values) if not value)
            raise JsonError(_cause(f"input_batch[{position}] is empty: a query needs at least one element"))
        return [self._to_bytes(value) for value in values]


def _hint(error: str, body: bytes | bytearray) -> str:
    """What the parser's ``error`` does not tell of a body that it can't read."""
    if not body.strip():
        return ": the body is empty"
    if "malformed" in error and (b"NaN" in body or b"Infinity" in body):
        return ": JSON has no NaN or Infinity, replace them by numbers"
    if "truncated" in error and b"\\ud" in body.lower():
        return ": \\ud800 to \\udfff must come in pairs"
    return ""


def _or_none(field: Any) -> Any:
    return None if field is UNSET else field


_INPUT_KEYS: Final = {
    True: "JSON object does not have required keys input or input_batch",
    False: "JSON object has both input and input_batch: send one of them",
}


def _cause(detail: str) -> str:
    return f"Error parsing JSON: {detail}. Expected JSON schema: {PREDICT_SCHEMA}"


def encode_prediction(prediction: Prediction) -> bytes:
    """One answer; the output is spliced in as the JSON text that the container made."""
    if prediction.reason is None:
        return b'{"query_id":%d,"output":%b,"default":false}' % (prediction.query_id, prediction.output)
    return b'{"query_id":%d,"output":%b,"default":true,"default_explanation":%b,"default_reason":"%b"}' % (
        prediction.query_id,
        prediction.output,
        msgspec.json.encode(prediction.explanation),
        prediction.reason.encode(),
    )


def encode_predictions(predictions: list[Prediction]) -> bytes:
    """The answers of an ``input_batch``, in its order."""
    return b'{"batch_predictions":[%b]}' % b",".join(map(encode_prediction, predictions))
