"""Clipper for data scientists: start a cluster, deploy models to it, query them.

Importing this package is quick; it loads neither numpy nor anything of the servers.
"""

from typing import TYPE_CHECKING, Any

from clipper_admin import deployers
from clipper_admin.connection import DEFAULT_LABEL, DEFAULT_PREDICTION_CACHE_SIZE_BYTES, ClipperConnection
from clipper_admin.exceptions import ClipperException, UnconnectedException
from clipper_admin.log import show_on_console
from clipper_admin.managers.local import LocalContainerManager
from clipper_admin.version import __registry__, __version__

__all__ = [
    "DEFAULT_LABEL",
    "DEFAULT_PREDICTION_CACHE_SIZE_BYTES",
    "ClipperConnection",
    "ClipperException",
    "DockerContainerManager",
    "LocalContainerManager",
    "UnconnectedException",
    "__registry__",
    "__version__",
    "deployers",
]

if TYPE_CHECKING:
    from clipper_admin.managers.docker import DockerContainerManager

show_on_console()


def __getattr__(name: str) -> Any:
    """Whoever uses no Docker loads nothing of it."""
    if name == "DockerContainerManager":
        from clipper_admin.managers.docker import DockerContainerManager

        return DockerContainerManager
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
