"""``module:function`` as written on a command line -> the function."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from clipper_admin.exceptions import ClipperException


def load_target(target: str) -> Callable[[Any], Any]:
    """Imports from the current directory, as ``python -m`` would.

    Raises:
        ClipperException: not of the form, not importable (why and where), or not there (what is).
    """
    module_name, colon, path = target.partition(":")
    if not colon or not module_name or not path:
        raise ClipperException(f"{target!r} does not name a function: write module:function, like sums:feature_sum")
    found: Any = _import(module_name)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ClipperException(f"There is no {name!r} in {found!r}; it has: {_callables(found)}") from None
    if not callable(found):
        raise ClipperException(f"{target} is not a function but {found!r} of type {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _import(name: str) -> Any:
    here = _current_directory()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name.partition(".")[0] or error.name == name:
            raise ClipperException(f"There is no module {name!r} in {here} or installed") from None
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _current_directory() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise ClipperException(
            f"The current directory can't be read ({error.strerror}): it was removed, perhaps. Change to the one "
            "that holds the module"
        ) from None


def _failed(name: str, error: BaseException) -> ClipperException:
    last = traceback.extract_tb(error.__traceback__)[-1]
    what = "".join(traceback.format_exception_only(error)).strip()
    return ClipperException(f"Importing {name!r} failed at {last.filename}:{last.lineno}: {what}")


def _callables(found: object) -> str:
    names = [name for name in dir(found) if not name.startswith("_") and callable(getattr(found, name, None))]
    return ", ".join(names) or "nothing that can be called"
