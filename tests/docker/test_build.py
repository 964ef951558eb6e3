"""docker/build.py, as far as it goes without an engine: which images it would make."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from clipper_admin.managers.docker_build import base_name

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docker" / "build.py"
FRAMEWORKS = sorted(
    each.stem for each in (ROOT / "src/clipper/container/frameworks").glob("*.py") if each.stem != "__init__"
)


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_images", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def extras():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_a_framework_that_nobody_knows_is_told_with_the_known_ones():
    command = [sys.executable, SCRIPT, "--frameworks", "closure nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "'nonsense': choose from closure, jax," in done.stderr


def test_packages_are_those_of_the_extra(build, extras):
    assert build._frameworks("closure sklearn", extras) == {"closure": [], "sklearn": extras["sklearn"]}


def test_torch_is_the_version_that_was_tried(build, extras):
    (torch,) = build._frameworks("pytorch", extras)["torch"]
    assert torch in (ROOT / "Makefile").read_text()


def test_extras_that_are_no_frameworks_have_no_image(build, extras):
    for name in ("test", "bench", "frameworks", "examples"):
        with pytest.raises(build.BuildError):
            build._frameworks(name, extras)


@pytest.mark.parametrize("module", FRAMEWORKS)
def test_images_are_looked_for_under_the_names_that_they_are_made_with(build, extras, module):
    made = build.ALIASES.get(module, module)
    assert made in extras
    stem = build.STEMS.get(made, made + "{}-container").format("311")
    assert base_name(module, "3.11").partition("/")[2].partition(":")[0] == stem
