"""JSON texts that are spliced into answers as they are."""

from __future__ import annotations

import msgspec

_skim = msgspec.json.Decoder(msgspec.Raw).decode
"""Checks the syntax of a text without making its values."""

_skim_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def is_fragment(text: bytes) -> bool:
    """Whether ``text`` is one JSON value in UTF-8, so that what it is spliced into stays JSON (about 100 ns)."""
    try:
        _skim(text)
        return text.isascii() or bool(text.decode())
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False


def are_fragments(texts: list[bytes]) -> bool:
    """Whether each of them is one, without white space around it; all at once take less time than one by one."""
    joined = b"[%b]" % b",".join(texts)
    try:
        values = _skim_list(joined)
        # As many values of the same lengths: then the commas between are ours, and nothing reaches across them.
        return list(map(len, values)) == list(map(len, texts)) and (joined.isascii() or bool(joined.decode()))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False


def as_fragment(text: str) -> bytes:
    """A text as it is embedded in answers: as JSON if it is JSON, else as a JSON string."""
    stripped = text.strip().encode(errors="replace")
    try:
        msgspec.json.decode(stripped)
    except (msgspec.DecodeError, RecursionError):
        return msgspec.json.encode(text)
    return stripped
