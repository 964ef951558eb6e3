"""Names the part of a function that can't be pickled."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any, Final

import cloudpickle

_DEEPEST: Final = 8


def find_culprit(func: object) -> str:
    """A sentence that names what can't go to a container and what to do; empty if it can't be told."""
    steps: list[str] = []
    value = func
    while len(steps) < _DEEPEST:
        broken = next(((label, part) for label, part in _parts(value) if not _can_pickle(part)), None)
        if broken is None:
            break
        steps.append(broken[0])
        value = broken[1]
    if not steps:
        return ""
    kind = type(value)
    return (
        f"What can't be sent to a model container is {' of '.join(reversed(steps))} (a {kind.__module__}."
        f"{kind.__qualname__}): create it inside the function or in a module that the function imports"
    )


def _can_pickle(value: object) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:
        return False
    return True


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What ``value`` holds, each with its name."""
    if isinstance(value, types.FunctionType):
        yield from _variables(value)
    elif isinstance(value, types.MethodType):
        yield "the object of the method", value.__self__
        yield "the method", value.__func__
    elif isinstance(value, functools.partial):
        yield "the function of the partial", value.func
        yield from ((f"argument {index} of the partial", each) for index, each in enumerate(value.args))
        yield from ((f"argument '{name}' of the partial", each) for name, each in value.keywords.items())
    elif isinstance(value, dict):
        yield from ((f"item {key!r}", each) for key, each in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"item {index}", each) for index, each in enumerate(value))
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        yield from ((f"attribute '{name}'", each) for name, each in vars(value).items())


def _variables(func: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
        try:
            yield f"the variable '{name}'", cell.cell_contents
        except ValueError:
            continue  # not assigned yet
    for name in sorted(set(_global_names(func.__code__))):
        if name in func.__globals__:
            yield f"the variable '{name}'", func.__globals__[name]
    yield from ((f"default {index}", each) for index, each in enumerate(func.__defaults__ or ()))


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)
