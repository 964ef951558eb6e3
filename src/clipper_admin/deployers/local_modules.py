"""Finds the modules of the caller that a function needs, and copies them.

The caller's own is what comes neither with Python nor from an installed distribution: a file beside the notebook,
a package on the path, an editable install. What is imported by a computed name (``importlib.import_module``) is not
seen.
"""

from __future__ import annotations

import dis
import importlib.util
import os
import shutil
import sys
import sysconfig
import types
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

from clipper_admin.exceptions import ClipperException

MOST_BYTES: Final = 200 * 1024 * 1024

_INSTALLED: Final = {"site-packages", "dist-packages"}
_STANDARD: Final = {Path(os.path.realpath(sysconfig.get_path(each))) for each in ("stdlib", "platstdlib")}
_NOT_CARRIED: Final = {"__main__", "clipper", "clipper_admin"}
"""A container has ``clipper_admin.metrics`` of its own, whether Clipper is installed there or not."""
_SKIPPED: Final = {"__pycache__", "node_modules"}


@dataclass(frozen=True, slots=True)
class LocalModule:
    """A top-level module: its one file, or the directories of the package.

    Of a namespace package (a folder without ``__init__.py``) only source is carried, no data.
    """

    name: str
    paths: tuple[Path, ...]
    is_namespace: bool = False

    def files(self) -> Iterator[tuple[Path, Path]]:
        """Every file of the module, and where it belongs below a directory on the path."""
        for path in self.paths:
            if path.is_file():
                yield path, Path(self.name + "." + path.name.partition(".")[2])
            else:
                for file in _files_below(path):
                    if file.suffix == ".py" or not self.is_namespace:
                        yield file, Path(self.name) / file.relative_to(path)


def find_modules(names: Iterable[str]) -> dict[str, LocalModule]:
    """The caller's modules among ``names`` (dotted or not) and those which they import, by top-level name."""
    found: dict[str, LocalModule] = {}
    seen: set[str] = set()
    waiting = [name.partition(".")[0] for name in names]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        module = _find(name)
        if module is not None:
            found[name] = module
            waiting.extend(_imports_of(module))
    return found


def copy_modules(modules: Iterable[LocalModule], destination: Path) -> None:
    """Copies source, and the data inside packages, below ``destination``.

    Raises:
        ClipperException: they are larger than we carry, or can't be read.
    """
    left = MOST_BYTES
    for module in modules:
        for path in module.paths:
            _refuse_home(module, path)
        for source, place in module.files():
            left -= source.stat().st_size
            if left < 0:
                raise ClipperException(
                    f"The local modules that the function needs are larger than {MOST_BYTES >> 20} MB, with "
                    f"'{module.name}' in {module.paths[0]}: move data out of that directory, or install the package "
                    "and name it in pkgs_to_install"
                )
            _copy(module, source, destination / place)


def without_source(names: Iterable[str]) -> set[str]:
    """Those modules made at run time, which an import in another process would not find."""
    loaded = {name for name in names if name in sys.modules and name != "__main__"}
    return {name for name in loaded if not _has_home(sys.modules[name]) and not _comes_with_package(name)}


def imported_names(code: types.CodeType, package: str = "") -> Iterator[str]:
    """The modules that running ``code``, or functions defined in it, imports. ``package`` is what dots stand for."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("EXTENDED_ARG", "CACHE")]
    for position, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            relative = bool(steps[position - 2].argval)
            yield package if relative else step.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from imported_names(constant, package)


def _imports_of(module: LocalModule) -> Iterator[str]:
    for source, _ in module.files():
        if source.suffix != ".py":
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(source.read_bytes(), str(source), "exec", dont_inherit=True)
        except (OSError, SyntaxError, ValueError):
            continue  # a template or an old file that nobody imports; if somebody does, the container says it
        for name in imported_names(code, module.name):
            yield name.partition(".")[0]


def _find(name: str) -> LocalModule | None:
    spec = _spec(name)
    if name in _NOT_CARRIED or spec is None:
        return None
    if spec.submodule_search_locations is not None:
        folders = tuple(Path(each) for each in spec.submodule_search_locations if not _is_installed(Path(each)))
        return LocalModule(name, folders, is_namespace=not spec.has_location) if folders else None
    if not spec.has_location or spec.origin is None or _is_installed(Path(spec.origin)):
        return None
    return LocalModule(name, (Path(spec.origin),)) if os.path.isfile(spec.origin) else None


def _spec(name: str) -> ModuleSpec | None:
    module = sys.modules.get(name)
    if module is not None and getattr(module, "__spec__", None) is not None:
        return module.__spec__
    file = getattr(module, "__file__", None)
    if file:
        return importlib.util.spec_from_file_location(name, file)
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None


def _has_home(module: types.ModuleType) -> bool:
    """Whether importing it elsewhere can work: it comes with Python or from a file."""
    spec = getattr(module, "__spec__", None)
    if spec is not None and (not spec.has_location or spec.submodule_search_locations is not None):
        return True
    file = getattr(module, "__file__", None)
    return file is not None and os.path.exists(file)


def _comes_with_package(name: str) -> bool:
    """Whether it is below an installed package: extensions in C, such as jaxlib's, make modules without a file."""
    top = name.partition(".")[0]
    spec = _spec(top) if top != name else None
    return spec is not None and spec.origin is not None and _is_installed(Path(spec.origin))


def _is_installed(path: Path) -> bool:
    real = Path(os.path.realpath(path))
    return bool(_INSTALLED & {*path.parts, *real.parts}) or any(real.is_relative_to(root) for root in _STANDARD)


def _files_below(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            folders.clear()  # a link back to where we have been
            continue
        seen.add(real)
        folders[:] = sorted(each for each in folders if not _is_skipped(Path(folder, each)))
        yield from (file for name in sorted(names) if (file := Path(folder, name)).is_file())


def _is_skipped(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _SKIPPED or (folder / "pyvenv.cfg").exists()


def _refuse_home(module: LocalModule, path: Path) -> None:
    if path.is_dir() and Path.home().is_relative_to(path.resolve()):
        raise ClipperException(
            f"The function imports '{module.name}', which is the directory {path}: Clipper won't copy your home "
            "directory to a model. Move the code into a package of its own"
        )


def _copy(module: LocalModule, source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as error:
        raise ClipperException(f"The module '{module.name}' can't be carried to the model: {error}") from error
