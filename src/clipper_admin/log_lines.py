"""Lines of log files, the last ones and those still to come."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

PAUSE = 0.2


def readable(text: str) -> str:
    """Log lines for people: what servers and containers have written as JSON becomes text of their usual form."""
    return "\n".join(map(_plain, text.split("\n")))


def _plain(line: str) -> str:
    if not line.startswith('{"time"'):
        return line
    try:
        told = json.loads(line)
        level, name = told["level"].upper(), told.get("request_id", "")
        about = f" (request {name})" if name else ""
        text = f"{told['time']} {level:7} {told['logger']}: {told['message']}{about}"
        lines = [text, *filter(None, [told.get("traceback")])]
        return "\n    ".join("\n".join(lines).splitlines())
    except (ValueError, KeyError, TypeError, AttributeError):  # a model may print what it likes
        return line


def last_lines(paths: Mapping[str, Path], count: int) -> Iterator[tuple[str, str]]:
    """The last ``count`` lines of each file, as (name, line); a file that is not there yet has none."""
    for name, path in paths.items():
        try:
            with path.open("rb") as file:
                kept = deque(file, maxlen=count)
        except FileNotFoundError:
            continue
        yield from ((name, _text(line)) for line in kept)


def follow(paths: Mapping[str, Path], count: int) -> Iterator[tuple[str, str]]:
    """``last_lines``, then every new line for ever; files may be rotated meanwhile."""
    tails = {name: Tail(path) for name, path in paths.items()}
    try:
        for name, tail in tails.items():
            yield from ((name, line) for line in deque(tail.read(), maxlen=count))
        while True:
            for name, tail in tails.items():
                yield from ((name, line) for line in tail.read())
            time.sleep(PAUSE)
    finally:
        for tail in tails.values():
            tail.close()


class Tail:
    """Reads what is added to a file, through rotations (renamed and made anew, or cut to nothing)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def read(self) -> Iterator[str]:
        """The complete lines that came since the last call."""
        if self._file is not None:
            yield from self._lines(self._file)
        if self._is_new() or self._is_cut():
            self._reopen()
            if self._file is not None:
                yield from self._lines(self._file)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        *complete, self._rest = (self._rest + file.read()).split(b"\n")
        yield from map(_text, complete)

    def _is_new(self) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        known = os.fstat(self._file.fileno())
        return (found.st_dev, found.st_ino) != (known.st_dev, known.st_ino)

    def _is_cut(self) -> bool:
        return self._file is not None and os.fstat(self._file.fileno()).st_size < self._file.tell()

    def _reopen(self) -> None:
        self.close()
        self._rest = b""
        with contextlib.suppress(FileNotFoundError):
            self._file = self._path.open("rb")


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode("utf-8", "replace")
