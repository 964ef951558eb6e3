"""Whose an image of the engine is: tags of different clusters can be equal, labels are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_errors import explained
from clipper_admin.managers.docker_parts import CLUSTER, MODEL
from clipper_admin.managers.images import image_tag

DEPLOY_AGAIN: Final = "deploy the model again"


def check_tag(engine: Engine, tag: str, model: str) -> None:
    """Raises ClipperException if ``tag`` is that of an image of another cluster or model (``<name>_<version>``)."""
    found = engine.find_image(tag)
    if found is not None and _is_foreign(engine, found, model):
        raise _shared(engine, tag, model, found)


def image_of(engine: Engine, tag: str, name: str, version: str) -> Any:
    """The image that replicas of a model run from.

    If ``tag`` is what a build here would call it, that is the one with the labels of this cluster and model, whoever
    has the tag by now. Any other name is taken at its word, and pulled, as is one of a registry, if it is not here.

    Raises:
        ClipperException: there is none, or the tag is another cluster's.
    """
    model, found = f"{name}_{version}", engine.find_image(tag)
    built_here = f"/{tag}".endswith("/" + image_tag(engine.cluster, name, version, None))
    if found is not None and not (built_here and _is_foreign(engine, found, model)):
        return found
    own = engine.images({MODEL: model}) if built_here else []
    if own:
        return max(own, key=lambda each: str(each.attrs["Created"]))
    if found is not None:
        raise _shared(engine, tag, model, found)
    if built_here and "/" not in tag:  # it never was in a registry
        raise ClipperException(f"There is no image {tag} here. Put it back, or {DEPLOY_AGAIN}")
    found = engine.image(tag, DEPLOY_AGAIN)
    if built_here and _is_foreign(engine, found, model):
        raise _shared(engine, tag, model, found)
    return found


def starts(config: Mapping[str, Any]) -> list[str]:
    """The words of what an image or a container runs; ``config``: as Docker inspects it."""
    return [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]


def is_clippers(words: Iterable[str]) -> bool:
    """Whether what is started is something of Clipper's."""
    return any("clipper" in each for each in words)


def remove_images(engine: Engine, logger: ClusterLogger, model: str | None = None) -> None:
    """Those built for a model version, ``<name>_<version>``, or for all of the cluster.

    One that is in use (by a container of somebody else, or as the base of another image) stays, and the log says so.
    """
    import docker

    with explained("remove the images of models"):
        for image in engine.images({MODEL: model}):
            for tag in image.tags or [image.id]:
                try:
                    engine.client.images.remove(tag)
                except docker.errors.NotFound:
                    pass  # another session was first
                except docker.errors.APIError as error:
                    logger.warning(
                        "The image %s is left, as it is in use: %s. Remove it with `docker rmi` after that",
                        tag,
                        error.explanation or error,
                    )


def _is_foreign(engine: Engine, image: Any, model: str) -> bool:
    """Images without labels are of nobody: users have made them."""
    owner = image.labels.get(CLUSTER), image.labels.get(MODEL)
    return owner[0] is not None and owner != (engine.cluster, model)


def _shared(engine: Engine, tag: str, model: str, found: Any) -> ClipperException:
    other = ":".join(found.labels.get(MODEL, "?").split("_", 1))
    return ClipperException(
        f"The image {tag} is that of model {other} of cluster {found.labels[CLUSTER]}: model "
        f"{model.replace('_', ':', 1)} of cluster {engine.cluster} can't have the same. Choose another name for the "
        f"model or the cluster; or, if nobody needs that image any more, `docker rmi {tag}`"
    )
