"""Tags of two clusters can be equal: whose an image is, its labels tell."""

import logging
from dataclasses import dataclass

import pytest

from clipper_admin import ClipperException
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_images import check_tag, image_of, remove_images
from clipper_admin.managers.docker_parts import CLUSTER, MODEL


@dataclass(frozen=True)
class Image:
    id: str
    labels: dict
    tags: tuple = ()
    created: str = "2026-01-01"

    @property
    def attrs(self):
        return {"Created": self.created}


class Images:
    """Of an engine's client; ``kept``: tags that are in use."""

    def __init__(self, *images, kept=()):
        self.images, self.kept, self.removed = images, kept, []

    def get(self, tag):
        errors = pytest.importorskip("docker").errors
        for each in self.images:
            if tag in each.tags:
                return each
        raise errors.ImageNotFound(tag)

    def list(self, filters):
        wanted = dict(each.partition("=")[::2] for each in filters["label"])
        return [each for each in self.images if all(each.labels.get(k) == v or not v for k, v in wanted.items())]

    def remove(self, tag):
        if tag in self.kept:
            raise pytest.importorskip("docker").errors.APIError("409", explanation="container 7 is using it")
        self.removed.append(tag)


def engine(cluster, *images, kept=()):
    made = Engine(cluster, "localhost", "net", {})
    made._client = type("Client", (), {"images": Images(*images, kept=kept)})()
    return made


def built(cluster, model, *tags, created="2026-01-01"):
    return Image(f"sha256:{cluster}/{model}/{created}", {CLUSTER: cluster, MODEL: model}, tags, created)


OTHERS = built("ncq-r", "s_1", "ncq-r-s:1")


def test_a_tag_of_another_cluster_is_refused_and_its_owner_named():
    with pytest.raises(
        ClipperException, match=r"ncq-r-s:1 is that of model s:1 of cluster ncq-r: model r-s:1 of cluster ncq can't"
    ):
        check_tag(engine("ncq", OTHERS), "ncq-r-s:1", "r-s_1")


@pytest.mark.parametrize("image", [built("ncq", "r-s_1", "ncq-r-s:1"), Image("id", {}, ("ncq-r-s:1",)), OTHERS])
def test_a_tag_of_ones_own_or_of_nobody_is_taken(image):
    owner = image.labels.get(CLUSTER, "ncq")
    check_tag(engine(owner, image), "ncq-r-s:1", image.labels.get(MODEL, "r-s_1"))
    check_tag(engine("ncq", OTHERS), "ncq-r-s:2", "r-s_2")


def test_replicas_run_from_the_image_with_their_labels_whoever_has_the_tag():
    older, newer = (built("ncq", "r-s_1", created=f"2025-0{month}-01") for month in (1, 2))
    assert image_of(engine("ncq", OTHERS, older, newer), "ncq-r-s:1", "r-s", "1") is newer
    assert image_of(engine("ncq-r", OTHERS, older, newer), "ncq-r-s:1", "s", "1") is OTHERS


@pytest.mark.parametrize("registry", ["", "registry.example:5000/team/"])
def test_replicas_never_run_from_the_image_that_took_the_name(registry):
    theirs = built("ncq-r", "s_1", f"{registry}ncq-r-s:1")
    with pytest.raises(ClipperException, match="is that of model s:1 of cluster ncq-r"):
        image_of(engine("ncq", theirs), f"{registry}ncq-r-s:1", "r-s", "1")


def test_an_image_whose_tag_is_gone_is_found_by_its_labels():
    own = built("ncq", "r-s_1")
    assert image_of(engine("ncq", own), "ncq-r-s:1", "r-s", "1") is own
    with pytest.raises(ClipperException, match=r"There is no image ncq-r-s:2 here\. Put it back, or deploy"):
        image_of(engine("ncq", own), "ncq-r-s:2", "r-s", "2")


def test_an_image_that_is_named_on_purpose_is_taken():
    assert image_of(engine("live", OTHERS), "ncq-r-s:1", "s", "1") is OTHERS


def test_an_image_that_is_in_use_is_left_and_told(logger, caplog):
    images = engine("ncq", *(built("ncq", f"m_{each}", f"ncq-m:{each}") for each in (1, 2)), kept=["ncq-m:1"])
    with caplog.at_level(logging.WARNING):
        remove_images(images, logger)
    assert images.client.images.removed == ["ncq-m:2"]
    assert "ncq-m:1 is left, as it is in use: container 7 is using it" in caplog.text
