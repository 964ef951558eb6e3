"""Large JSON bodies, read in slices so that no other query waits for the whole.

A body is cut between its elements. Each slice, with ``{"input":[`` put before it and ``]}`` behind it, is a small
complete body, and the ordinary decoder reads it. So that decoder alone decides what is accepted, and what is wrong
where; this file only finds the places to cut. A quote or bracket where no valid body has one may mislead it, but then
the slice can't be read, just as the body can't.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

from clipper.frontend.codec import UNREADABLE, PredictDecoder, as_request, check_inputs, complaint
from clipper.frontend.pieces import Fields, Value
from clipper.frontend.request import PredictRequest
from clipper.frontend.turns import Steps

SLICE_BYTES: Final = 32_768
GROUP_SHARE: Final = 8
"""Lists and strings cost more than numbers: a slice of those is smaller by this factor."""
LONGEST_TOKEN: Final = 65_536
"""Bytes of a number, of a key, or of blanks in a row; more is refused. Lists and strings are cut."""
MOST_MEMBERS: Final = 16
"""Of the object; that is each field three times."""

_BLANKS: Final = re.compile(rb"[ \t\n\r]*+")
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEY: Final = re.compile(_STRING, re.DOTALL)
_STRINGS: Final = re.compile(_STRING + rb"(?:[ \t\n\r]*+,[ \t\n\r]*+" + _STRING + rb")*+", re.DOTALL)
_CHARACTERS: Final = re.compile(  # the halves of a surrogate pair stay together
    rb'[^"\\]*+(?:\\(?:[^u]|u[dD][89abAB]..\\u[dD][c-fC-F]..|u(?![dD][89abAB])....)[^"\\]*+)*+', re.DOTALL
)
_LITERAL: Final = re.compile(rb'[^ \t\n\r,:\[\]{}"]++')
_LAST_ROW: Final = re.compile(rb"\][ \t\n\r]*+\]")
_NUMBER_END: Final = re.compile(rb"[,\]]")

_PLACE: Final = re.compile(r"(?<=`\$\.)(input_batch|input)\[(\d+)\](?:\[(\d+)\])?")
_BYTE: Final = re.compile(r"(?<=\(byte )\d+")
_POSITION: Final = re.compile(r"(?<=in position )\d+")


class SlicedReader:
    """Reads one body, which must not change meanwhile."""

    def __init__(self, decoder: PredictDecoder, body: bytes | bytearray, slice_bytes: int = SLICE_BYTES) -> None:
        self._decoder = decoder
        self._body = body
        self._slice = slice_bytes
        self._group = max(1, slice_bytes // GROUP_SHARE)
        self._at = 0
        self._key_at = 0
        self._fields = Fields()
        self._value = Value(decoder)

    def read(self) -> Steps[PredictRequest]:
        """As ``PredictDecoder.decode``; beyond that, JsonError for a token over ``LONGEST_TOKEN``."""
        self._skip_blanks()
        self._demand(b"{", b"")
        if not self._sees(b"}"):
            yield from self._read_member(b"{")
            members = 1
            while self._sees(b","):
                members += 1
                if members > MOST_MEMBERS:
                    raise complaint(f"an object of more than {MOST_MEMBERS} members")
                self._move(1)
                yield from self._read_member(b'{"uid":0,')
        self._demand(b"}", b'{"uid":0 ')
        if self._at < len(self._body):
            self._refuse(b"{}")
        check_inputs(self._fields)
        single, batch = self._fields.input, self._fields.input_batch
        return as_request(self._fields, (batch or []) if single is None else [single])

    def _read_member(self, opened: bytes) -> Steps[None]:
        key = _KEY.match(self._body, self._at, self._at + LONGEST_TOKEN)
        if key is None:
            self._refuse(opened)
        self._key_at = self._at
        self._value = Value(self._decoder)
        self._move(len(key[0]))
        self._demand(b":", b"{" + key[0])
        yield from self._read_value(b"{" + key[0] + b":", b"}")
        self._value.store(self._fields)
        yield

    def _read_value(self, opened: bytes, closing: bytes) -> Steps[None]:
        if self._sees(b"["):
            yield from self._read_list(opened + b"[", b"]" + closing)
        elif self._sees(b'"'):
            yield from self._read_string(opened + b'"', b'"' + closing)
        elif literal := _LITERAL.match(self._body, self._at, self._at + LONGEST_TOKEN):
            self._take(opened, literal.end(), closing)
            self._move(0)
        else:
            self._refuse(opened)

    def _read_list(self, opened: bytes, closing: bytes) -> Steps[None]:
        self._move(1)
        if self._sees(b"]"):
            self._take(opened, self._at, closing)
        else:
            yield from self._read_elements(opened, closing)
            while self._sees(b","):
                self._move(1)
                yield from self._read_elements(opened, closing, b",")
        self._demand(b"]", opened + self._value.sample)

    def _read_elements(self, opened: bytes, closing: bytes, comma: bytes = b"") -> Steps[None]:
        """As many as fit a slice; else one, in slices of its own."""
        first = bytes(self._body[self._at : self._at + 1])
        ends = {b"[": self._end_of_rows, b'"': self._end_of_strings}.get(first, self._end_of_numbers)
        end = ends()
        if end > self._at:
            self._take(opened, end, closing)
            self._move(0)
            yield
        elif first in (b"[", b'"') and not opened.endswith(b"[["):
            self._value.begin_element()
            yield from self._read_value(opened, closing)
            self._value.end_element()
            yield
        elif comma:
            self._value.stand_ins = 1
            self._refuse(opened + self._value.sample + comma)
        else:
            self._refuse(opened)
        self._value.sample = {b"[": b"[0]", b'"': b'""'}.get(first, b"0 ")

    def _read_string(self, opened: bytes, closing: bytes) -> Steps[None]:
        self._at += 1
        while True:
            end = self._end_of_characters()
            last = self._body[end : end + 1] == b'"'
            if end == self._at and not last:
                self._refuse(opened)
            self._take(opened, end, closing)
            if last:
                break
            yield
        self._move(1)

    # -- where to cut: the end of a slice, or where it begins if no whole element fits into it

    def _end_of_numbers(self) -> int:
        limit = self._at + self._slice
        end = self._body.find(b"]", self._at, limit)
        if end < 0:
            end = self._body.rfind(b",", self._at, limit)
        if end < 0:
            longer = _NUMBER_END.search(self._body, self._at, self._at + LONGEST_TOKEN)
            end = self._at if longer is None else longer.start()
        return end

    def _end_of_rows(self) -> int:
        limit = self._at + self._group
        last = _LAST_ROW.search(self._body, self._at, limit)
        end = self._body.rfind(b"]", self._at, limit) if last is None else last.start()
        return self._at if end < 0 else end + 1

    def _end_of_strings(self) -> int:
        strings = _STRINGS.match(self._body, self._at, self._at + self._group)
        return self._at if strings is None else strings.end()

    def _end_of_characters(self) -> int:
        """Not within an escape or a character of several bytes."""
        limit = self._at + max(self._slice, 16)
        characters = _CHARACTERS.match(self._body, self._at, limit)
        assert characters is not None
        end = characters.end()
        if end == limit < len(self._body):
            while end > self._at and self._body[end] & 0xC0 == 0x80:
                end -= 1
        return end

    # -- tokens

    def _sees(self, token: bytes) -> bool:
        return self._body[self._at : self._at + 1] == token

    def _move(self, size: int) -> None:
        self._at += size
        self._skip_blanks()

    def _skip_blanks(self) -> None:
        blanks = _BLANKS.match(self._body, self._at, self._at + LONGEST_TOKEN)
        assert blanks is not None
        self._at = blanks.end()

    def _demand(self, token: bytes, opened: bytes) -> None:
        if not self._sees(token):
            self._refuse(opened)
        self._move(1)

    # -- the decoder's part

    def _take(self, opened: bytes, end: int, closing: bytes) -> None:
        slice_ = memoryview(self._body)[self._at : end]
        self._value.add(self._parse(opened, slice_, closing))
        self._at = end

    def _refuse(self, opened: bytes) -> NoReturn:
        """Raises what the decoder says of the text here, where ``opened`` stands for all that was read before."""
        end = self._at + LONGEST_TOKEN
        rest = memoryview(self._body)[self._at : end]
        self._parse(opened, rest, may_end=end >= len(self._body))
        raise complaint(f"a number, a name or blanks of more than {LONGEST_TOKEN} bytes (byte {self._at})")

    def _parse(self, opened: bytes, text: memoryview, closing: bytes = b"", may_end: bool = True) -> Any:
        piece = b"".join((opened, text, closing))
        try:
            return self._decoder.parse(piece)
        except UNREADABLE as error:
            if may_end or "truncated" not in str(error):
                raise self._decoder.refusal(error, piece, self._translate(str(error), len(opened))) from None

    def _translate(self, error: str, opened: int) -> str:
        """An error in a slice, as an error in the body."""

        def move_byte(found: re.Match[str]) -> str:
            byte = int(found[0])
            return str(byte + self._at - opened if byte >= opened else byte + self._key_at - 1)

        error = _PLACE.sub(self._value.move_place, error)
        error = _POSITION.sub(lambda found: str(int(found[0]) + self._value.done), error)
        return _BYTE.sub(move_byte, error)
