"""Packages and interpreters, as users name them."""

from __future__ import annotations

import platform
import shutil
import subprocess

import pytest

from clipper_admin import ClipperException, LocalContainerManager
from clipper_admin.deployers import interpreter


def test_a_requirements_file_adds_to_the_packages(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# of the model\nnumpy>=1.26  # arrays\n\nscikit-learn ; python_version > '3.8'\ntorch \\\n  ==2.5\n"
    )
    assert interpreter.packages(["pandas"], file) == [
        "pandas",
        "numpy>=1.26",
        "scikit-learn ; python_version > '3.8'",
        "torch    ==2.5",
    ]


def test_without_either_there_are_none():
    assert interpreter.packages(None, None) is None
    assert interpreter.packages([], None) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [("-r other.txt\n", "holds the option '-r other.txt'"), ("# nothing\n", "names no package")],
)
def test_what_a_file_can_not_hold(tmp_path, text, says):
    (tmp_path / "r.txt").write_text(text)
    with pytest.raises(ClipperException, match=says):
        interpreter.packages(None, tmp_path / "r.txt")


def test_a_missing_file_is_named():
    with pytest.raises(ClipperException, match=r"requirements file /nowhere/r\.txt can't be read"):
        interpreter.packages(None, "/nowhere/r.txt")


def test_a_string_is_no_list():
    with pytest.raises(ClipperException, match=r"write \['numpy'\]"):
        interpreter.packages("numpy", None)


def find(version):
    return LocalContainerManager().find_python(version, "")


def test_the_interpreter_of_a_version_is_found():
    code = "import platform; print(platform.python_version())"
    system = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    version = (
        system and subprocess.run([system, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    )
    if version in (None, platform.python_version()):
        pytest.skip("there is no other Python on this machine")
    path, needed = find(version)
    assert needed == ["numpy"]
    assert subprocess.run([path, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == version


@pytest.mark.parametrize(
    ("given", "version", "says"),
    [
        ("default", "3.99", "There is no Python 3.99 on this machine: install it"),
        ("default", "three", "python_version must be like '3.12'"),
        ("/usr/bin/python3", "3.11", "Give python_version='3.11' or base_image='/usr/bin/python3', not both"),
    ],
)
def test_versions_that_can_not_be_had(given, version, says):
    with pytest.raises(ClipperException, match=says):
        interpreter.base_image(given, version, find)


def test_without_a_version_it_is_what_was_given():
    assert interpreter.base_image("mine:1", None, find) == ("mine:1", [])


def test_the_python_of_the_session_needs_no_other():
    ours = platform.python_version()
    for version in (ours, ours.rpartition(".")[0]):
        assert interpreter.base_image("default", version, find) == ("default", [])
