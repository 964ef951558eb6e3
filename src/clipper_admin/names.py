"""The rules for what a model, a version and an input type may be called."""

from __future__ import annotations

import re
from typing import Final

from clipper_admin.exceptions import ClipperException

NO_CONTAINER: Final = "NO_CONTAINER"

_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LONGEST_NAME: Final = 63
_ALIASES: Final = {
    "bytes": ("bytes", "byte", "b"),
    "integers": ("integers", "ints", "integer", "int", "i"),
    "floats": ("floats", "float", "f"),
    "doubles": ("doubles", "double", "d"),
    "strings": ("strings", "string", "strs", "str", "s"),
}
_CANONICAL: Final = {alias: canonical for canonical, aliases in _ALIASES.items() for alias in aliases}


def check_model(name: str, version: str) -> None:
    """Refuses a name or a version that could not be part of a host name, an image tag or a folder's name."""
    _check_label(name, "name")
    _check_label(version, "version")


def may_have_image(name: str, version: str) -> bool:
    """Whether ``check_model`` passes: others can be registered (without a container), but not built or deployed."""
    return all(len(each) <= _LONGEST_NAME and _DNS_LABEL.fullmatch(each) is not None for each in (name, version))


def _check_label(value: str, what: str) -> None:
    if not isinstance(value, str):
        raise ClipperException(f"Invalid value: {value!r}: a model {what} must be a str, not {type(value).__name__}")
    if len(value) > _LONGEST_NAME or not _DNS_LABEL.fullmatch(value):
        raise ClipperException(
            f"Invalid value: {value}: a model {what} must be a valid DNS-1123 label: at most {_LONGEST_NAME} lower "
            "case letters, digits and '-', beginning and ending with a letter or a digit (like 'my-model' or '2')"
        )


def canonical_input_type(input_type: str) -> str:
    """``doubles`` for ``d``; raises ClipperException for what is not an input type."""
    try:
        return _CANONICAL[input_type]
    except (KeyError, TypeError):
        raise ClipperException(
            f"{input_type!r} is not a valid input string: the input types are {', '.join(_ALIASES)}"
        ) from None


def version_text(version: object) -> str:
    """Versions are strings; the integers of a quickstart are welcome, other types are a mistake."""
    if isinstance(version, str):
        return version
    if isinstance(version, int) and not isinstance(version, bool):
        return str(version)
    raise ClipperException(
        f"A model version must be a str or an int, not {version!r} of type {type(version).__name__}"
    )
