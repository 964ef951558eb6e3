"""What Docker's SDK raises, as the one kind of error that Clipper's users see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.docker_names import missing_remedy
from clipper_admin.managers.docker_parts import ANOTHER

CONNECT: Final = "connect"


class PortTaken(ClipperException):
    """A container could not be started, as a port on the host that it was to have is somebody else's."""


def sdk() -> Any:
    """Docker's; raises ClipperException if it is not installed."""
    try:
        import docker
    except ImportError:
        raise ClipperException(
            "The Docker manager needs the package docker: pip install 'clipper-serving[docker]'"
        ) from None
    return docker


@contextlib.contextmanager
def explained(doing: str, image: str = "", remedy: str = ANOTHER, besides: str = "") -> Iterator[None]:
    """Turns what the SDK raises in the block into a ClipperException.

    ``remedy``: what to do without the image, but to get it. ``besides``: what is to be known of what is refused.
    """
    import requests

    docker = sdk()
    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise ClipperException(
            f"Docker can't {doing}: there is no image {image or 'of that name'} here. {missing_remedy(image, remedy)}"
        ) from error
    except docker.errors.APIError as error:
        said = words(error)
        is_taken = any(each in said for each in ("port is already allocated", "address already in use"))
        if is_taken:
            raise PortTaken(f"Docker can't {doing}: {said}") from error
        raise ClipperException(f"Docker can't {doing}: {said}{besides}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        if doing != CONNECT and isinstance(error, docker.errors.DockerException):  # of what the SDK was given
            raise ClipperException(f"Docker can't {doing}: {error}{besides}") from error
        raise ClipperException(
            f"Unable to Connect to Docker. Please Check if Docker is running. (It was to {doing}: {error})"
        ) from error


def words(error: Any) -> str:
    """Those of the engine."""
    return str(getattr(error, "explanation", None) or error)
