"""The shapes of predict bodies, and of feedback."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct

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


NO_VALUE: Final = Raw()
QueryId = Annotated[int, Meta(ge=0, lt=1 << 53)]


class FeedbackBody(Struct, forbid_unknown_fields=True):
    """``uid`` is the old name of ``user_id``; ``label`` and ``input`` are ``NO_VALUE`` if they are left out."""

    label: Raw = NO_VALUE
    loss: float | dict[str, float] | None = None
    query_id: QueryId | None = None
    input: Raw = NO_VALUE
    user_id: str | int | None = None
    uid: str | int | None = None
