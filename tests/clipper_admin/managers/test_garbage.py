"""Environments go once no model uses them, and not before."""

from __future__ import annotations

import json
import os
import time

import pytest

from clipper_admin.managers.garbage import remove_unused

HOURS_AGO = time.time() - 7200


@pytest.fixture
def home(tmp_path):
    for name in ("used", "unused", "young"):
        folder = tmp_path / "environments" / name
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").write_bytes(b"x" * 100)
        (tmp_path / "environments" / f"{name}.lock").touch()
        if name != "young":
            os.utime(folder, (HOURS_AGO, HOURS_AGO))
    image = tmp_path / "clusters" / "c" / "models" / "m" / "1"
    image.mkdir(parents=True)
    interpreter = tmp_path / "environments" / "used" / "bin" / "python"
    (image / "image.json").write_text(json.dumps({"interpreter": str(interpreter)}))
    return tmp_path


def test_what_no_image_names_goes(home):
    (removed,) = remove_unused(home)
    assert removed.name == "unused"
    assert removed.size >= 100
    assert sorted(each.name for each in (home / "environments").iterdir()) == [
        "used",
        "used.lock",
        "young",
        "young.lock",
    ]


def test_a_home_named_by_another_path_keeps_what_is_used(home, tmp_path_factory):
    link = tmp_path_factory.mktemp("links") / "home"
    link.symlink_to(home)
    assert [each.name for each in remove_unused(link)] == ["unused"]


def test_once_the_model_is_gone_its_environment_goes(home):
    (home / "clusters" / "c" / "models" / "m" / "1" / "image.json").unlink()
    assert [each.name for each in remove_unused(home)] == ["unused", "used"]


def test_where_nothing_was_ever_made_there_is_nothing_to_remove(tmp_path):
    assert remove_unused(tmp_path) == []
