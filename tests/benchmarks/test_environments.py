"""Environments of the systems."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.environments import CannotRun, digest, installed_versions, interpreter

pytestmark = pytest.mark.heavy


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLIPPER_BENCH_CACHE", str(tmp_path))
    return tmp_path


def test_without_requirements_it_is_ours() -> None:
    assert interpreter("echo", ()) == Path(sys.executable)


def test_what_cannot_be_installed_is_told(cache: Path) -> None:
    with pytest.raises(CannotRun, match=r"no-such-package"):
        interpreter("peer", [str(cache / "no-such-package.whl")])
    assert list(cache.glob("*/complete")) == []  # so that it is made again, and not taken for an environment


def test_a_package_is_installed_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = [str(write_wheel(cache))]
    python = interpreter("peer", requirements)
    assert installed_versions(python, ["a-peer", "another"]) == {"a-peer": "1.2"}
    monkeypatch.setattr("benchmarks.environments._run", lambda command: pytest.fail("made again"))
    assert interpreter("peer", requirements) == python


def write_wheel(folder: Path) -> Path:
    wheel = folder / "a_peer-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("a_peer-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: a-peer\nVersion: 1.2\n")
        file.writestr("a_peer-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("a_peer-1.2.dist-info/RECORD", "")
    return wheel


def test_other_requirements_are_another_environment() -> None:
    assert digest(["a", "b"]) == digest(["b", "a"]) != digest(["a"])
