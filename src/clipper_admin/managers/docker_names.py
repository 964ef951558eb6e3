"""Names of images: whose an image of a name is, and what to do where there is none."""

from __future__ import annotations

from typing import Final

_PUBLIC: Final = ("docker.io/", "index.docker.io/")
"""What Docker takes a name to begin with that names no registry."""
_SERVERS: Final = ("query_frontend", "management_frontend")


def is_made_here(tag: str) -> bool:
    """Whether it has a name of Clipper's own images: what a public registry has by their names is somebody else's."""
    for registry in _PUBLIC:
        tag = tag.removeprefix(registry)
    return tag.startswith("clipper/")


def missing_remedy(tag: str, otherwise: str) -> str:
    """What to do if the engine has no image of this name, and has not tried to pull it; or else ``otherwise``."""
    if not is_made_here(tag):
        return f"Pull it, or {otherwise}"
    if _is_of_clipper(tag):
        return f"Make it with `make images` in Clipper's sources, or {otherwise}"
    return (
        "Names that begin with clipper/ are those of Clipper's own images, which are not pulled, and there is none "
        f"of this name: give yours a name that begins otherwise, or {otherwise}"
    )


def unpulled_remedy(otherwise: str) -> str:
    """What to do if an image could not be pulled."""
    return f"See that its registry can be reached and has it, or {otherwise}"


def _is_of_clipper(tag: str) -> bool:
    """Whether ``make images`` makes one of this name, whatever its version."""
    name = tag.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return name in _SERVERS or name.endswith("-container")
