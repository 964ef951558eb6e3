"""Feedback as the management frontend gives it -> a file of JSON Lines or Parquet."""

from __future__ import annotations

import base64
import importlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from clipper_admin.exceptions import ClipperException

PARQUET: Final = ".parquet"
_TEXTS: Final = ("outputs", "answer", "label", "losses")
"""Columns of JSON texts: any JSON can be in them, and a column of Parquet has one type."""

Pages = Iterable[bytes]


def write_feedback(path: Path, pages: Pages) -> int:
    """Writes the lines of all pages; how many they are. A file is there when it is whole, and not before.

    Raises:
        ClipperException: it can't be written, or a page can't be had.
    """
    write = _parquet_writer() if path.suffix == PARQUET else _write_lines
    try:
        if path.exists() and not path.is_file():  # a pipe, for instance
            return write(path, pages)
        return _write_whole(path, lambda unfinished: write(unfinished, pages))
    except OSError as error:
        raise ClipperException(
            f"The feedback can't be written to {path} ({error.strerror or error}): give another path, or make room"
        ) from error


def _write_whole(path: Path, write: Callable[[Path], int]) -> int:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        count = write(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _write_lines(path: Path, pages: Pages) -> int:
    count = 0
    with path.open("wb") as file:
        for page in pages:
            file.write(page)
            count += page.count(b"\n")
    return count


def _parquet_writer() -> Callable[[Path, Pages], int]:
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ClipperException(
            f"A file that ends in {PARQUET} takes pyarrow, which is not installed: `pip install pyarrow`, or give a "
            "path that ends in .jsonl"
        ) from None

    def write(path: Path, pages: Pages) -> int:
        schema, count = _schema(arrow), 0
        writer: AbstractContextManager[Any] = parquet.ParquetWriter(str(path), schema)
        with writer as file:
            for page in pages:
                rows = [_row(json.loads(line)) for line in page.splitlines()]
                file.write_table(arrow.Table.from_pylist(rows, schema=schema))
                count += len(rows)
        return count

    return write


def _schema(arrow: Any) -> Any:
    """A column for each field of a line, in their order; inputs are the bytes that models get."""
    text, number, whole = arrow.string(), arrow.float64(), arrow.int64()
    asked = arrow.struct([("model", text), ("propensity", number)])
    columns = [("position", whole), ("query_id", whole), ("app", text), ("user", text)]
    columns += [("decided_at", number), ("at", number), ("epoch", whole)]
    columns += [("linked", arrow.list_(text)), ("asked", arrow.list_(asked)), ("shadows", arrow.list_(text))]
    columns += [("outputs", text), ("answer", text), ("default", arrow.bool_())]
    columns += [("confidence", number), ("draw", number), ("label", text)]
    columns += [("losses", text), ("loss", number), ("input_type", text), ("input", arrow.binary())]
    return arrow.schema(columns)


def _row(line: dict[str, Any]) -> dict[str, Any]:
    row = {**line, **{name: _text(line[name]) for name in _TEXTS}}
    row["input"] = base64.b64decode(line["input"]) if "input" in line else None
    return row


def _text(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
