"""Checks of what a policy is made with. Their errors name the parameter, what it is, and what it may be."""

from __future__ import annotations

import math
from collections.abc import Mapping


def number(name: str, value: object, low: float, high: float) -> float:
    """A number from ``low`` to ``high``, both included."""
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise ValueError(f"{name} is {value!r}: it must be {_range('a number', low, high)}")


def whole(name: str, value: object, low: int, high: int) -> int:
    """An integer from ``low`` to ``high``, both included."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise ValueError(f"{name} is {value!r}: it must be {_range('an integer', low, high)}")


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    raise ValueError(f"{name} is {value!r}: it must be one of {', '.join(allowed)}")


def text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{name} is {value!r}: it must be a text")


def shares(name: str, value: object) -> dict[str, float]:
    """``{model: share}`` with finite shares of 0 or more, one at least above 0; they need not add up to 1."""
    if not isinstance(value, Mapping) or not all(isinstance(model, str) for model in value):
        raise ValueError(f"{name} is {value!r}: it must be an object of shares by the names of models")
    found = {model: number(f"{name}[{model!r}]", share, 0.0, 1e9) for model, share in value.items()}
    if not any(found.values()):
        raise ValueError(f"{name} is {value!r}: one model at least must have a share above 0")
    return found


def _range(what: str, low: float, high: float) -> str:
    return f"{what} of at least {low:g}" if math.isinf(high) else f"{what} from {low:g} to {high:g}"
