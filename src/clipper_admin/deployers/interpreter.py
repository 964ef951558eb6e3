"""Which Python runs a model, and with which packages: as the user names them, before anything is built."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from clipper_admin.exceptions import ClipperException

SEARCH_SECONDS: Final = 30.0


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


def base_image(given: str, python_version: str | None) -> str:
    """The interpreter of a version, as a path; what was ``given`` if none is wanted, or it is that of this session.

    Raises:
        ClipperException: none is found on this machine, or both are given.
    """
    if python_version is None:
        return given
    if not isinstance(python_version, str):
        raise ClipperException(f"python_version must be text, such as '3.12', not {python_version!r}")
    if given != "default":
        raise ClipperException(f"Give python_version={python_version!r} or base_image={given!r}, not both")
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", python_version):
        raise ClipperException(f"python_version must be like '3.12' or '3.12.4', not {python_version!r}")
    ours = platform.python_version()
    return given if ours == python_version or ours.startswith(python_version + ".") else _find(python_version)


def _find(version: str) -> str:
    import uv  # here, to keep `import clipper_admin` light

    command = [uv.find_uv_bin(), "python", "find", "--no-python-downloads", "--no-project", "--system", version]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SEARCH_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClipperException(f"Python {version} could not be looked for: {error}") from error
    if done.returncode:
        raise ClipperException(
            f"There is no Python {version} on this machine: install it (`uv python install {version}`), or leave "
            f"python_version out to use this session's. uv says: {done.stderr.strip()}"
        )
    return done.stdout.strip()
