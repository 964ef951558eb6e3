"""Clipper for data scientists: start a cluster, deploy models to it, query them.

Importing this package is quick; it loads neither numpy nor anything of the servers.
"""

from clipper_admin import deployers
from clipper_admin.connection import DEFAULT_LABEL, DEFAULT_PREDICTION_CACHE_SIZE_BYTES, ClipperConnection
from clipper_admin.exceptions import ClipperException, UnconnectedException
from clipper_admin.log import show_on_console
from clipper_admin.managers.docker import DockerContainerManager
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

show_on_console()
