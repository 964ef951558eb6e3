"""Which Python runs a model, and with which packages: as the user names them, before anything is built."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from clipper_admin.exceptions import ClipperException


def packages(pkgs_to_install: Sequence[str] | None, requirements: str | os.PathLike[str] | None) -> list[str] | None:
    """The packages that are named, and those of a requirements file; None if there are none.

    Raises:
        ClipperException: the file can't be read, or holds options or other files.
    """
    if isinstance(pkgs_to_install, str):
        raise ClipperException(f"pkgs_to_install must be a list of packages: write [{pkgs_to_install!r}]")
    if requirements is None:
        return list(pkgs_to_install) if pkgs_to_install else None
    return [*(pkgs_to_install or ()), *_read(Path(requirements))]


def _read(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ClipperException(f"The requirements file {file} can't be read: {error}") from error
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.replace("\\\n", " ").splitlines()]
    found = [line for line in lines if line]
    for line in found:
        if line.startswith("-"):
            raise ClipperException(
                f"{file} holds the option {line!r}: only packages, a line each, can be installed for a model. Set "
                "package indexes in pip's or uv's own configuration"
            )
    if not found:
        raise ClipperException(f"The requirements file {file} names no package: leave requirements out")
    return found


def base_image(
    given: str, python_version: str | None, find: Callable[[str], tuple[str, list[str]]]
) -> tuple[str, list[str]]:
    """What a model is built on for a version of Python, and packages that has to be given.

    What was ``given`` if no version is wanted, or it is that of this session; else what ``find`` finds.

    Raises:
        ClipperException: none is found, or both are given.
    """
    if python_version is None:
        return given, []
    if not isinstance(python_version, str):
        raise ClipperException(f"python_version must be text, such as '3.12', not {python_version!r}")
    if given != "default":
        raise ClipperException(f"Give python_version={python_version!r} or base_image={given!r}, not both")
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", python_version):
        raise ClipperException(f"python_version must be like '3.12' or '3.12.4', not {python_version!r}")
    ours = platform.python_version()
    if ours == python_version or ours.startswith(python_version + "."):
        return given, []
    return find(python_version)
