import shutil

import pytest

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers import images
from clipper_admin.managers.images import Image, image_tag, note_input_type, read_image, remove_image, write_image

IMAGE = Image("c-m:1", "/usr/bin/python3", ("numpy", "x==1"))


@pytest.fixture
def model(tmp_path):
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "func.pkl").write_bytes(b"one")
    (data / "deep" / "f").write_bytes(b"two")
    return data


def test_an_image_is_a_copy(folder, model):
    write_image(folder, "m", "1", IMAGE, model)
    shutil.rmtree(model)
    copy = folder.models / "m" / "1" / "model"
    assert (copy / "func.pkl").read_bytes() == b"one"
    assert (copy / "deep" / "f").read_bytes() == b"two"
    assert read_image(folder, "m", "1") == IMAGE


def test_an_image_is_replaced_as_a_whole(folder, model):
    write_image(folder, "m", "1", IMAGE, model)
    (model / "func.pkl").rename(model / "other.pkl")
    write_image(folder, "m", "1", Image("c-m:1", "/py"), model)
    assert sorted(each.name for each in (folder.models / "m" / "1" / "model").iterdir()) == ["deep", "other.pkl"]
    assert read_image(folder, "m", "1").interpreter == "/py"
    assert [each.name for each in (folder.models / "m").iterdir()] == ["1"]


def test_a_failed_copy_leaves_what_was_there(folder, model, monkeypatch):
    write_image(folder, "m", "1", IMAGE, model)

    def fail(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images.shutil, "copytree", fail)
    with pytest.raises(OSError, match="No space"):
        write_image(folder, "m", "1", Image("c-m:1", "/other"), model)
    assert read_image(folder, "m", "1") == IMAGE
    assert [each.name for each in (folder.models / "m").iterdir()] == ["1"]


def test_no_image(folder):
    with pytest.raises(ClipperException, match=r"no image of model m:1 .*build_model"):
        read_image(folder, "m", "1")


def test_the_input_type_is_kept(folder, model):
    write_image(folder, "m", "1", IMAGE, model)
    deployed = note_input_type(folder, "m", "1", "c-m:1", "doubles")
    assert deployed.input_type == "doubles"
    assert read_image(folder, "m", "1") == deployed


def test_another_image_is_not_deployed(folder, model):
    write_image(folder, "m", "1", IMAGE, model)
    with pytest.raises(ClipperException, match=r"Image c-m:2 is not the one built .* which is c-m:1"):
        note_input_type(folder, "m", "1", "c-m:2", "doubles")


def test_removing_is_for_one_version(folder, model):
    write_image(folder, "m", "1", IMAGE, model)
    write_image(folder, "m", "2", IMAGE, model)
    remove_image(folder, "m", "1")
    remove_image(folder, "m", "1")
    assert read_image(folder, "m", "2") == IMAGE
    with pytest.raises(ClipperException):
        read_image(folder, "m", "1")


def test_with_its_last_version_the_folder_of_a_model_goes(folder, model):
    write_image(folder, "m", "1", IMAGE, model)
    remove_image(folder, "m", "1")
    remove_image(folder, "absent", "1")
    assert list(folder.models.iterdir()) == []
    folder.remove()
    remove_image(folder, "m", "1")
    assert not folder.path.exists()


def test_a_failed_build_leaves_no_folder(folder, model):
    with pytest.raises(OSError, match="absent"):
        write_image(folder, "m", "1", IMAGE, model / "absent")
    assert list(folder.models.iterdir()) == []


def test_tags():
    assert image_tag("default-cluster", "sum-model", "1", None) == "default-cluster-sum-model:1"
    assert image_tag("c", "m", "1", "registry/x") == "registry/x/c-m:1"
