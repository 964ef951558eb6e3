"""Models in environments of their own: made once for equal packages, told of where they fail, removed when unused.

Its packages come from the index that pip is set up for, as those of this session did.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from clipper_admin import ClipperException
from clipper_admin.deployers import sklearn as deployer
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers

pytestmark = pytest.mark.frameworks

SAME = f"scikit-learn=={metadata.version('scikit-learn')}"
UNKNOWN = "no-such-package-of-anybody"


@pytest.fixture(scope="module")
def iris():
    return load_iris()


@pytest.fixture(scope="module")
def model(iris):
    return LogisticRegression(max_iter=500).fit(iris.data, iris.target_names[iris.target])


def environment(clipper, name, version="1"):
    """The folder of the isolated environment that a model runs in."""
    image = Path(clipper.cm.home) / "clusters" / "c" / "models" / name / version / "image.json"
    return Path(json.loads(image.read_text())["interpreter"]).parents[1]


def environments(clipper):
    """All that was made, and what was begun."""
    folder = Path(clipper.cm.home) / "environments"
    return {each.name for each in folder.iterdir() if each.is_dir()} if folder.exists() else set()


def test_labels_are_those_of_here_and_a_file_with_the_same_packages_shares_the_environment(
    clipper, serve, iris, model, tmp_path
):
    deployer.deploy_sklearn_model(clipper, "named", 1, "doubles", model, pkgs_to_install=[SAME])
    assert_same_answers(clipper, serve("named"), iris.data, model.predict(iris.data))
    made = environments(clipper)
    file = tmp_path / "requirements.txt"
    file.write_text(f"# of the flowers\n\n{SAME.replace('scikit-learn', 'Scikit_Learn')}  # as it was trained\n")
    deployer.deploy_sklearn_model(clipper, "file", 1, "doubles", model, requirements=file)
    assert_same_answers(clipper, serve("file"), iris.data, model.predict(iris.data))
    assert environment(clipper, "file") == environment(clipper, "named")
    assert environments(clipper) == made


def test_the_python_of_a_version_runs_the_model(clipper, serve, iris, model):
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def labels(model, inputs):
        import sys

        found = f"{sys.version_info.major}.{sys.version_info.minor}"
        return [f"{each} {found} {os.path.basename(sys.prefix)}" for each in model.predict(inputs)]

    deployer.deploy_sklearn_model(
        clipper, "python", 1, "doubles", model, func=labels, pkgs_to_install=[SAME], python_version=version
    )
    key = environment(clipper, "python").name
    expected = [f"{each} {version} {key}" for each in model.predict(iris.data)]
    assert_same_answers(clipper, serve("python"), iris.data, expected)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pkgs_to_install": [SAME], "python_version": "3.99"}, r"There is no Python 3\.99 on this machine: install"),
        ({"pkgs_to_install": [UNKNOWN]}, f"{UNKNOWN} was not found"),
        ({"pkgs_to_install": ["scikit-learn==0.0.999"]}, r"no version of scikit-learn==0\.0\.999"),
    ],
    ids=["version", "package", "release"],
)
def test_what_can_not_be_had_leaves_nothing_behind(clipper, model, options, says):
    before = environments(clipper)
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "none", "doubles", model, **options)
    assert_nothing_left(clipper, "none")
    assert environments(clipper) == before


def test_a_package_that_the_environment_lacks_is_named_within_seconds(clipper, model):
    # Made before, so that the seconds are those of the failure.
    deployer.deploy_sklearn_model(clipper, "whole", 1, "doubles", model, pkgs_to_install=["xmltodict", SAME])
    with pytest.raises(ClipperException):
        deployer.create_endpoint(clipper, "lacks", "doubles", model, pkgs_to_install=["xmltodict"])
    start = time.monotonic()
    with pytest.raises(ClipperException) as caught:
        deployer.create_endpoint(clipper, "lacks", "doubles", model, pkgs_to_install=["xmltodict"])
    assert time.monotonic() - start < 15
    assert "Missing package 'sklearn': pass pkgs_to_install=['scikit-learn']" in str(caught.value)
    assert_nothing_left(clipper, "lacks")


def collect_garbage(clipper):
    """The names of the environments that ``clipper gc`` removed."""
    done = subprocess.run(
        [Path(sys.executable).parent / "clipper", "gc", "--output", "json"],
        env=os.environ | {"CLIPPER_HOME": str(clipper.cm.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["removed"]


def test_gc_keeps_an_environment_until_its_last_model_went(clipper, serve, iris, model):
    packages = [SAME, "xmltodict", "threadpoolctl"]
    for version in (1, 2):
        deployer.deploy_sklearn_model(clipper, "kept", version, "doubles", model, pkgs_to_install=packages)
    folder = environment(clipper, "kept", "2")
    hours_ago = time.time() - 7200
    os.utime(folder, (hours_ago, hours_ago))
    clipper.stop_versioned_models({"kept": ["1"]})
    assert collect_garbage(clipper) == []
    assert_same_answers(clipper, serve("kept"), iris.data, model.predict(iris.data))
    os.utime(folder, (hours_ago, hours_ago))
    clipper.stop_models(["kept"])
    assert collect_garbage(clipper) == [folder.name]
    assert not folder.exists()
