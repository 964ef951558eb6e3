"""Reads an exported feedback log: JSON Lines, or Parquet with the same columns."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from clipper.errors import BadRequest
from clipper.types import ModelVersion

STANDARD_INPUT: Final = "-"
_PARQUET: Final = b"PAR1"
_NULL: Final = msgspec.Raw(b"null")
_NESTED: Final = ("linked", "asked", "shadows", "outputs", "answer", "label", "losses")
"""Columns that are JSON texts in Parquet."""


class Entry(NamedTuple):
    """One feedback, checked.

    ``models`` are the linked ones, of the version asked (of version "" if not asked); ``shadows`` were asked beside
    them. ``propensities`` is how likely it was that each model would be asked, of those that were. ``outputs`` are
    JSON texts, and so is ``label`` (None: a loss was given). ``answer`` is None if the default output was answered;
    ``input`` is base64.
    """

    line: int
    app: str
    user: str
    models: tuple[ModelVersion, ...]
    shadows: tuple[ModelVersion, ...]
    propensities: dict[ModelVersion, float]
    outputs: dict[ModelVersion, bytes]
    answer: bytes | None
    label: bytes | None
    losses: dict[ModelVersion, float]
    loss: float | None
    input_type: str
    input: str | None

    @property
    def scorable(self) -> bool:
        """Whether it says anything about any model; if not, that does not depend on what would be selected."""
        return bool(self.models and self.propensities) and (self.label is not None or bool(self.losses))


class _Asked(msgspec.Struct, frozen=True, gc=False):
    model: str
    propensity: float


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    position: int
    app: str
    linked: list[str]
    asked: list[_Asked]
    outputs: dict[str, msgspec.Raw]
    losses: dict[str, float]
    user: str = ""
    shadows: list[str] = []
    answer: msgspec.Raw = _NULL
    default: bool = False
    label: msgspec.Raw = _NULL
    loss: float | None = None
    input_type: str = ""
    input: str | None = None


_decode: Final = msgspec.json.Decoder(_Line).decode


def read(path: str) -> Iterator[Entry]:
    """The entries of a log in order; BadRequest, naming the line, at the first that is wrong.

    ``path`` may be ``-``: standard input.
    """
    with _opened(path) as file:
        before: _Line | None = None
        for number, text in enumerate(_lines(file), 1):
            if text.strip():
                line = _parsed(number, text)
                _check_order(number, before, line)
                yield _numbered(number, line)
                before = line
        if before is None:
            raise BadRequest(f"{path} holds no feedback: nothing was exported, or nobody has sent feedback yet")


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise BadRequest(f"{path} can't be read: {error.strerror}") from None
    with file:
        yield file


def _lines(file: BinaryIO) -> Iterable[bytes]:
    if file.seekable():
        start = file.read(len(_PARQUET))
        file.seek(0)
        if start == _PARQUET:
            return _rows(file)
    return file


def _rows(file: BinaryIO) -> Iterator[bytes]:
    """The rows of a Parquet file as lines of JSON."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise BadRequest(
            "Reading Parquet takes pyarrow, which is not installed: `pip install pyarrow`, or export JSON Lines"
        ) from None
    try:
        for batch in parquet.ParquetFile(file).iter_batches():
            for row in batch.to_pylist():
                yield _as_json(row)
    except (ValueError, OSError) as error:  # pyarrow's own errors are of these kinds
        raise BadRequest(f"The Parquet file can't be read: {error}") from None


def _as_json(row: dict[str, Any]) -> bytes:
    cells = ((name, value) for name, value in row.items() if value is not None)
    return b"{%b}" % b",".join(b"%b:%b" % (msgspec.json.encode(name), _cell(name, value)) for name, value in cells)


def _cell(name: str, value: object) -> bytes:
    if name in _NESTED and isinstance(value, str | bytes):
        return value.encode() if isinstance(value, str) else value
    return msgspec.json.encode(value)


def _parsed(number: int, text: bytes) -> _Line:
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Line {number} is not a line of a feedback log: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"Line {number} is not JSON: {_why(text) or error}") from None


def _why(text: bytes) -> str:
    """What Python's JSON would have let pass."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return "it holds NaN or Infinity, which JSON does not have"


def _check_order(number: int, before: _Line | None, line: _Line) -> None:
    if before is None:
        return
    if line.position <= before.position:
        raise BadRequest(
            f"Line {number} is out of order: its position, {line.position}, is not beyond that of the line before, "
            f"{before.position}. A log is replayed in the order of its feedback, each line once"
        )
    if line.app != before.app:
        raise BadRequest(f"Line {number} is of the application {line.app}, those before of {before.app}: export one")


def _numbered(number: int, line: _Line) -> Entry:
    try:
        return _entry(number, line)
    except ValueError as error:
        raise BadRequest(f"Line {number}: {error}") from None


def _entry(number: int, line: _Line) -> Entry:
    shadows = tuple(map(_model, line.shadows))
    asked = {_model(each.model): _propensity(each) for each in line.asked}
    versions = {model.name: model for model in asked}
    return Entry(
        line=number,
        app=line.app,
        user=line.user,
        models=tuple(versions.get(name) or _model(f"{name}:") for name in line.linked),
        shadows=shadows,
        propensities={**dict.fromkeys(shadows, 1.0), **asked} if shadows else asked,
        outputs={_model(name): bytes(output) for name, output in line.outputs.items()},
        answer=None if line.default else bytes(line.answer),
        label=None if line.label == _NULL else bytes(line.label),
        losses={_model(name): _loss(name, loss) for name, loss in line.losses.items()},
        loss=None if line.loss is None else _loss("the answer", line.loss),
        input_type=line.input_type,
        input=line.input,
    )


def _propensity(asked: _Asked) -> float:
    if not 0.0 < asked.propensity <= 1.0:  # NaN neither
        raise ValueError(
            f"the propensity of {asked.model} is {asked.propensity}; that of a model that was asked is above 0, "
            "and 1 at most"
        )
    return asked.propensity


def _loss(of: str, loss: float) -> float:
    if not 0.0 <= loss <= 1.0:
        raise ValueError(f"the loss of {of} is {loss}; losses are from 0 to 1")
    return loss


@lru_cache(maxsize=1024)
def _model(text: str) -> ModelVersion:
    name, colon, version = text.rpartition(":")
    if not (name and colon):
        raise ValueError(f"{text!r} is not a model's name:version")
    return ModelVersion(name, version)
