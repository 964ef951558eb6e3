from pathlib import Path

import numpy as np
import pytest

from benchmarks.selection import recorded as records


@pytest.fixture(scope="module")
def mnist():
    return records.mnist()


def test_five_models_that_differ(mnist):
    assert mnist.softmax.shape == (3_800, 5, 10)
    assert mnist.outputs.shape == (3_800, 5)
    assert mnist.labels.shape == (3_800,)
    assert mnist.softmax.sum(axis=2) == pytest.approx(1.0)
    errors = np.sort(mnist.errors())
    assert np.diff(errors).min() > 0.03
    assert errors[0] < 0.1
    assert errors[-1] > 0.4


def test_they_are_the_same_each_time(mnist):
    again = records.mnist.__wrapped__()
    assert np.array_equal(again.outputs, mnist.outputs)
    assert np.array_equal(again.softmax, mnist.softmax)


def test_the_order_of_accuracy(mnist):
    assert mnist.models[mnist.best()] == "extra-trees"
    assert mnist.models[mnist.by_accuracy()[0]] == "tree"


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "outputs.npz"
    np.savez(path, softmax=rng.random((20, 5, 10)).astype(np.float16), label=rng.integers(0, 10, 20, dtype=np.uint8))
    return path


def test_outputs_from_a_file(file):
    found = records.all_of(file)
    assert [each.name for each in found] == ["cifar", "mnist"]
    assert found[0].outputs.shape == (20, 5)
    assert records.what_is_missing(file) == ""


def test_the_environment_may_name_the_file(file, monkeypatch):
    monkeypatch.setenv(records.VARIABLE, str(file))
    assert records.data_file(None) == file


def test_without_the_file_there_is_mnist_and_a_word_about_it(tmp_path, monkeypatch):
    monkeypatch.setenv(records.VARIABLE, str(tmp_path / "nothing.npz"))
    assert [each.name for each in records.all_of(None)] == ["mnist"]
    assert "CIFAR-10 is missing" in records.what_is_missing(None)


def test_a_file_that_was_asked_for_must_be_there():
    with pytest.raises(FileNotFoundError, match="--data"):
        records.data_file(Path("nowhere.npz"))


def test_pooled_pixels_are_means():
    image = np.arange(784.0).reshape(1, 784)
    small = records.pooled(image)
    assert small.shape == (1, 49)
    assert small.mean() == pytest.approx(image.mean())
    assert small[0, 0] == image.reshape(28, 28)[:4, :4].mean()
