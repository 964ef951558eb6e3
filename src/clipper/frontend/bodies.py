"""The shapes of predict bodies."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

_FLOAT32_MAX: Final = 3.4028234663852886e38
_LEFT_OUT: Final[Any] = None  # JSON's null is no value of any field

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Float32 = Annotated[float, Meta(ge=-_FLOAT32_MAX, le=_FLOAT32_MAX)]


class Body(Struct, forbid_unknown_fields=True, gc=False):
    """What can stand in any predict body; ``uid`` is the old name of ``user_id``."""

    version: str = _LEFT_OUT
    user_id: str | int = _LEFT_OUT
    uid: str | int = _LEFT_OUT


class Doubles(Body, forbid_unknown_fields=True, gc=False):
    input: list[float] = _LEFT_OUT
    input_batch: list[list[float]] = _LEFT_OUT


class Floats(Body, forbid_unknown_fields=True, gc=False):
    input: list[Float32] = _LEFT_OUT
    input_batch: list[list[Float32]] = _LEFT_OUT


class Integers(Body, forbid_unknown_fields=True, gc=False):
    input: list[Int32] = _LEFT_OUT
    input_batch: list[list[Int32]] = _LEFT_OUT


class Text(Body, forbid_unknown_fields=True, gc=False):
    input: str = _LEFT_OUT
    input_batch: list[str] = _LEFT_OUT
