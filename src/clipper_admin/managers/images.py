"""Images of the local manager: a copy of the model directory and a note of what runs it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.folders import ClusterFolder, locked, write_atomically


@dataclass(frozen=True, slots=True)
class Image:
    """What ``models/<name>/<version>/image.json`` says of the copy in ``model/`` beside it.

    ``interpreter`` runs the container; ``packages`` are those that its isolated environment was made for;
    ``input_type`` is empty until the image is deployed.
    """

    tag: str
    interpreter: str
    packages: tuple[str, ...] = ()
    input_type: str = ""


def image_tag(cluster_name: str, name: str, version: str, registry: str | None) -> str:
    tag = f"{cluster_name}-{name}:{version}"
    return f"{registry}/{tag}" if registry else tag


def write_image(folder: ClusterFolder, name: str, version: str, image: Image, model_data_path: Path) -> None:
    """Copies a model directory and notes the image beside it; an image of that version is replaced as a whole.

    Raises:
        OSError: it can't be read or written; an image that was there is there still.
    """
    target = folder.models / name / version
    with _model_folders(folder):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=target.parent, prefix=".building-"))
    try:
        shutil.copytree(model_data_path, building / "model")
        save_image_note(building, image)
        _replace_folder(building, target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        _remove_if_empty(folder, target.parent)
        raise


def read_image(folder: ClusterFolder, name: str, version: str) -> Image:
    """The image of a model version.

    Raises:
        ClipperException: none was built.
    """
    try:
        noted = json.loads((folder.models / name / version / "image.json").read_text(encoding="utf-8"))
        return Image(noted["tag"], noted["interpreter"], tuple(noted["packages"]), noted["input_type"])
    except (OSError, ValueError, KeyError) as error:
        raise ClipperException(
            f"There is no image of model {name}:{version} in {folder.path}: build it with "
            "ClipperConnection.build_model, or use build_and_deploy_model."
        ) from error


def note_input_type(folder: ClusterFolder, name: str, version: str, tag: str, input_type: str) -> Image:
    """Keeps what an image is deployed as, so that its replicas can be started again after a crash.

    Raises:
        ClipperException: ``tag`` is not the image that was built for this model version.
    """
    image = read_image(folder, name, version)
    if image.tag != tag:
        raise ClipperException(
            f"Image {tag} is not the one built for model {name}:{version} here, which is {image.tag}: deploy that "
            "one, or build the model under this name and version."
        )
    deployed = dataclasses.replace(image, input_type=input_type)
    if deployed != image:
        save_image_note(folder.models / name / version, deployed)
    return deployed


def remove_image(folder: ClusterFolder, name: str, version: str) -> None:
    """Removes the image of a version, if there is one, and the folder of its model with the last one."""
    image = folder.models / name / version
    shutil.rmtree(image, ignore_errors=True)
    _remove_if_empty(folder, image.parent)


def save_image_note(image_folder: Path, image: Image) -> None:
    write_atomically(image_folder / "image.json", json.dumps(dataclasses.asdict(image), indent=1))


def _remove_if_empty(folder: ClusterFolder, model: Path) -> None:
    if model.exists():  # the cluster may be gone as a whole
        with _model_folders(folder), contextlib.suppress(OSError):
            model.rmdir()  # other versions are in it, or are being built there


def _model_folders(folder: ClusterFolder) -> AbstractContextManager[None]:
    """Held while the folder of a model is made or removed, for a build needs what another may think empty."""
    return locked(folder.models, 10, "Another session is building or removing a model")


def _replace_folder(new: Path, target: Path) -> None:
    old = target.with_name(f".replaced-{target.name}-{os.getpid()}")
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
