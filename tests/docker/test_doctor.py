"""`clipper doctor --manager docker` on the real engine."""

import json
import subprocess
import sys

import pytest

from tests.docker.clusters import IMAGES, running
from tests.docker.containers import CLOSURE_IMAGE, QUERY_IMAGE

pytestmark = pytest.mark.docker


def test_the_engine_and_its_images_are_looked_at(monkeypatch):
    monkeypatch.setenv("CLIPPER_REDIS_IMAGE", IMAGES["redis_image"])
    monkeypatch.setenv("CLIPPER_PROMETHEUS_IMAGE", "registry.invalid/prometheus")
    command = [sys.executable, "-m", "clipper_admin.cli", "--manager", "docker", "doctor", "-o", "json"]
    with running("looked-at"):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = {each["subject"]: each for each in json.loads(done.stdout)}
    assert found["engine"]["finding"].startswith("Docker ")
    for image in (QUERY_IMAGE, CLOSURE_IMAGE, IMAGES["redis_image"]):
        assert found[f"image {image}"]["finding"] == "there"
    assert "pulled" in found["image registry.invalid/prometheus"]["finding"]
    assert found["cluster looked-at"]["finding"] == "running"
