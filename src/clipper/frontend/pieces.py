"""What the slices of a large JSON body add up to."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, Final

from clipper.frontend.bodies import Body
from clipper.frontend.codec import PredictDecoder, check_size, complaint, decode_base64, not_base64
from clipper.rpc.wire import InputType

LONGEST_NAME: Final = 65_536
"""Characters of a version or a user."""


class Fields(Body):
    """A body whose inputs are bytes already."""

    input: bytes | None = None
    input_batch: list[bytes] | None = None


class Value:
    """The value of one member of the body, of which slices come: ``add`` takes each, decoded, as a body of its own.

    A slice holds a part of ``input``; whole elements of ``input_batch``, or a part of one of them between
    ``begin_element`` and ``end_element``; or a part of a text. ``sample`` looks like the last element, as JSON.
    """

    def __init__(self, decoder: PredictDecoder) -> None:
        self.sample = b"0 "
        self.done = 0
        """How much was added of the present input: elements of a list, bytes of a string."""
        self.stand_ins = 0
        """Elements before a slice that were put there for others which are counted already."""
        self._decoder = decoder
        self._name = ""
        self._input: Parts | None = None
        self._batch: list[bytes] = []
        self._texts: list[Any] = []

    def begin_element(self) -> None:
        if self._name != "input":  # whose elements have no parts: what comes will be refused
            self._input = self._parts()

    def end_element(self) -> None:
        assert self._input is not None
        self._batch.append(self._input.join())
        self._input = None
        self.done = 0
        check_size(self._batch)

    def add(self, part: Any) -> None:
        """JsonError if it can't be a part of this value, or makes it too large."""
        if part.input is not None:
            self._name = "input"
            self._input = self._input or self._parts()
            self._extend(self._input, part.input)
        elif part.input_batch is not None:
            self._name = "input_batch"
            if self._input is not None:
                self._extend(self._input, part.input_batch[0])
            else:
                self._batch += map(self._decoder.to_bytes, part.input_batch)
                check_size(self._batch)
        else:
            self._add_text(part)

    def _extend(self, parts: Parts, value: Any) -> None:
        parts.add(value)
        self.done += len(value.encode()) if isinstance(value, str) else len(value)

    def _add_text(self, part: Any) -> None:
        self._name = next(name for name in ("version", "user_id", "uid") if getattr(part, name) is not None)
        self._texts.append(getattr(part, self._name))
        if len(self._texts) > 1 and sum(map(len, self._texts)) > LONGEST_NAME:
            raise complaint(f"{self._name} has more than {LONGEST_NAME} characters")

    def store(self, fields: Fields) -> None:
        """Makes this the value of its field; the last one of that name counts."""
        if self._name == "input":
            assert self._input is not None
            fields.input = self._input.join()
        elif self._name == "input_batch":
            fields.input_batch = self._batch
        else:
            setattr(fields, self._name, self._texts[0] if len(self._texts) == 1 else "".join(self._texts))

    def move_place(self, found: re.Match[str]) -> str:
        """``name[index]`` or ``name[index][index]``, counted from the beginning of the slice, in the whole value."""
        name, first, second = found[1], int(found[2]), found[3]
        if name == "input":
            return f"input[{first + self.done - self.stand_ins}]"
        if self._input is None:
            return f"input_batch[{first + len(self._batch) - self.stand_ins}]" + (
                "" if second is None else f"[{second}]"
            )
        within = "" if second is None else f"[{int(second) + self.done - self.stand_ins}]"
        return f"input_batch[{first + len(self._batch)}]{within}"

    def _parts(self) -> Parts:
        return Base64Parts() if self._decoder.input_type is InputType.BYTES else Parts(self._decoder.to_bytes)


class Parts:
    """An input from parts that are turned into bytes one by one."""

    def __init__(self, to_bytes: Callable[[Any], bytes]) -> None:
        self._to_bytes = to_bytes
        self._bytes = io.BytesIO()

    def add(self, part: Any) -> None:
        self._bytes.write(self._to_bytes(part))

    def join(self) -> bytes:
        """All of it, without a copy."""
        return self._bytes.getvalue()


class Base64Parts(Parts):
    """The parts are of any length, but base64 is decoded by four characters; the last may be fewer, or padded."""

    def __init__(self) -> None:
        super().__init__(decode_base64)
        self._rest = ""

    def add(self, part: str) -> None:
        text = self._rest + part
        whole = max(0, len(text) - 1) // 4 * 4
        self._rest = text[whole:]
        if "=" in text[:whole]:
            raise not_base64("Excess data after padding")
        super().add(text[:whole])

    def join(self) -> bytes:
        super().add(self._rest)
        return super().join()
