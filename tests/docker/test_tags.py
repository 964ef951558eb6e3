"""Two clusters whose models have the same tag, on a real engine."""

import io
import logging
import uuid

import pytest

from clipper_admin import ClipperException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_images import check_tag, image_of, remove_images
from clipper_admin.managers.docker_parts import CLUSTER, MODEL

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]
LOGGER = ClusterLogger(logging.getLogger(__name__), "test")


def test_an_engine_finds_an_image_whose_tag_was_taken():
    name = f"t{uuid.uuid4().hex[:8]}"
    mine, theirs = (Engine(each, "localhost", "net", {}) for each in (name, f"{name}-r"))
    client = mine.client
    tag = f"{name}-r-s:1"

    def build(cluster, model):
        labels = {CLUSTER: cluster, MODEL: model}
        return client.api.build(fileobj=io.BytesIO(b"FROM scratch\nLABEL x=1\n"), tag=tag, labels=labels, rm=True)

    try:
        list(build(name, "r-s_1"))
        own = image_of(mine, tag, "r-s", "1")
        list(build(f"{name}-r", "s_1"))
        assert image_of(theirs, tag, "s", "1").id != own.id
        assert image_of(mine, tag, "r-s", "1").id == own.id
        with pytest.raises(ClipperException, match="is that of model s:1"):
            check_tag(mine, tag, "r-s_1")
    finally:
        remove_images(mine, LOGGER)
        assert client.images.get(tag).labels[CLUSTER] == f"{name}-r"
        remove_images(theirs, LOGGER)
    assert mine.images() == theirs.images() == []
