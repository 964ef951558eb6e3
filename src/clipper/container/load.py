"""A model directory -> the function that answers queries."""

from __future__ import annotations

import importlib
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cloudpickle

from clipper.container.manifest import Manifest

Function = Callable[..., object]

_PACKAGES: Final = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "clipper_admin": "clipper-serving",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
_OTHER_PYTHON: Final = re.compile(r"unsupported pickle protocol|\bcode\b.* argument|unknown opcode|bad marshal data")


def load_model(directory: Path, manifest: Manifest) -> Function:
    """The function that answers batches: the user's own, or what its framework makes of it and the model.

    Raises:
        ImportError: a package that it needs is not installed.
        Exception: whatever else loading raises.
    """
    see_modules(directory)
    function = load_function(directory) if not manifest.framework or (directory / "func.pkl").exists() else None
    if manifest.framework:
        module = importlib.import_module(f"clipper.container.frameworks.{manifest.framework}")
        function = module.load(directory, function)
    assert function is not None
    return _one_by_one(function) if manifest.per_item else function


def see_modules(directory: Path) -> None:
    """Has imports find the modules that came along."""
    modules = directory / "modules"
    if modules.is_dir() and str(modules) not in sys.path:
        sys.path.insert(0, str(modules))


def _one_by_one(function: Function) -> Function:
    def answer(inputs: Any) -> object:
        return [function(each) for each in inputs]

    return answer


def load_function(directory: Path) -> Function:
    """Unpickles ``func.pkl``; the modules it needs may be in ``modules/`` beside it.

    Raises:
        ImportError: a package that the function needs is not installed.
        Exception: whatever else unpickling raises.
    """
    see_modules(directory)
    file = directory / "func.pkl"
    with file.open("rb") as pickled:
        function = cloudpickle.load(pickled)
    if not callable(function):
        raise TypeError(f"{file} holds a {type(function).__name__}, not a function: deploy something callable")
    return function  # type: ignore[no-any-return]


def advise(error: BaseException) -> str:
    """What to do about ``error``, which ``load_function`` raised; empty if there is nothing to say."""
    if isinstance(error, ImportError) and error.name:
        name = error.name.partition(".")[0]
        package = _PACKAGES.get(name, name)
        return f"Missing package {name!r}: pass pkgs_to_install=[{package!r}] when deploying"
    if isinstance(error, FileNotFoundError) and str(error.filename).endswith("func.pkl"):
        return "CLIPPER_MODEL_PATH must be a directory with a func.pkl in it: deploy the model again"
    if _OTHER_PYTHON.search(str(error)):
        version = platform.python_version()
        return f"The function seems to be pickled by another Python than the {version} here: deploy with that version"
    return ""
