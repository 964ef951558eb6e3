"""A predict function -> a directory that a model container can load it from."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import tempfile
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import cloudpickle

from clipper_admin.deployers.culprit import find_culprit
from clipper_admin.deployers.local_modules import copy_modules, find_modules, imported_names, without_source
from clipper_admin.exceptions import ClipperException
from clipper_admin.log import SessionLogger

LARGE_BYTES: Final = 250_000_000

logger = SessionLogger(logging.getLogger(__name__))


def save_function(func: Callable[..., Any], directory: Path, arguments: Sequence[str] = ("inputs",)) -> None:
    """Writes ``func.pkl`` and ``modules/``, and logs which modules were carried."""
    check_function(func, arguments)
    save_pickle(func, directory / "func.pkl", f"The predict function {_name(func)}")


def save_pickle(value: object, file: Path, what: str) -> None:
    """Pickles ``value`` into ``file``; the caller's own modules that it needs go to ``modules/`` beside that.

    Raises:
        ClipperException: it can't be pickled or written; ``what`` is the subject of that sentence.
    """
    needed = _pickle(value, file, what)
    by_value = without_source(needed)
    if by_value:
        needed = _pickle_by_value(value, file, what, by_value)
        logger.info("Carrying modules without a source file by value: %s", ", ".join(sorted(by_value)))
    warn_of_size(file)
    modules = find_modules(needed)
    if modules:
        logger.info("Carrying local modules: %s", ", ".join(sorted(modules)))
        copy_modules(modules.values(), file.parent / "modules")


def warn_of_size(file: Path) -> None:
    """Says so, with the size, if a pickle is so large that it should not be one."""
    size = file.stat().st_size
    if size > LARGE_BYTES:
        logger.warning(
            "The function holds %.1f GB of data: it is copied for each version and read by each replica. Save large "
            "models in their own format, with the deployer of their framework",
            size / 1e9,
        )


def check_function(func: object, arguments: Sequence[str] = ("inputs",)) -> None:
    """Refuses what could never answer a batch; ``arguments`` are what it will be called with."""
    if not callable(func):
        raise ClipperException(f"The predict function must be callable, not {func!r} of type {type(func).__name__}")
    is_plain = inspect.isroutine(func) or inspect.isclass(func) or isinstance(func, functools.partial)
    called = func if is_plain else func.__call__
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise ClipperException(f"{_name(func)} is a generator: return a list with one output for each input")
    if inspect.iscoroutinefunction(called):
        raise ClipperException(f"{_name(func)} is a coroutine function: write it with def, not async def")
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):
        return  # some functions written in C do not tell
    try:
        signature.bind(*arguments)
    except TypeError as error:
        wanted = "one argument, the list of inputs" if len(arguments) == 1 else f"({', '.join(arguments)})"
        raise ClipperException(f"{_name(func)}{signature} can't be called with {wanted}: {error}") from None


class FunctionPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A pickler that remembers which modules unpickling, or calling what was pickled, will import."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        reduced = super().reducer_override(obj)
        if isinstance(obj, types.ModuleType):
            self.modules.add(obj.__name__)
        elif isinstance(obj, types.FunctionType) and reduced is not NotImplemented:
            self.modules.update(imported_names(obj.__code__, obj.__globals__.get("__package__") or ""))
        elif isinstance(obj, (type, types.FunctionType, types.BuiltinFunctionType)) and reduced is NotImplemented:
            self.modules.add(obj.__module__ or "builtins")
        return reduced


def temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """Where a model is put together; it goes with the block that it is used in."""
    try:
        return tempfile.TemporaryDirectory(suffix="clipper", ignore_cleanup_errors=True)
    except OSError as error:
        raise ClipperException(
            f"No temporary directory could be made for the function ({error}): free some space, or set TMPDIR"
        ) from error


def _pickle(value: object, file: Path, what: str) -> set[str]:
    """Pickles into ``file``; the names of the modules that the pickle needs."""
    try:
        with file.open("wb") as sink:
            pickler = FunctionPickler(sink)
            pickler.dump(value)
    except OSError as error:
        raise ClipperException(f"{what} could not be written to {file}: {error}") from error
    except Exception as error:
        raise ClipperException(f"{what} can't be pickled: {error}. {find_culprit(value)}") from error
    return pickler.modules


def _pickle_by_value(value: object, file: Path, what: str, modules: Iterable[str]) -> set[str]:
    loaded = [sys.modules[each] for each in modules]
    for module in loaded:
        cloudpickle.register_pickle_by_value(module)
    try:
        return _pickle(value, file, what)
    finally:
        for module in loaded:
            cloudpickle.unregister_pickle_by_value(module)


def _name(func: object) -> str:
    return getattr(func, "__qualname__", None) or repr(func)
