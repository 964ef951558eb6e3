"""Models that load, and models that don't."""

import os

import pytest

from clipper.container.load import advise
from clipper_admin.packaging import write_runtime


class Calls:
    """Unpickles to what a call gives, so that a test decides what loading does."""

    def __init__(self, function, *arguments):
        self._call = function, arguments

    def __reduce__(self):
        return self._call


def test_modules_beside_the_function_can_be_imported(start, save, listen):
    def function(xs):
        import local_model_module

        return [local_model_module.ANSWER] * len(xs)

    folder = save(function)
    (folder / "modules").mkdir()
    (folder / "modules" / "local_model_module.py").write_text("ANSWER = 42\n")
    frontend = listen()
    start(folder, frontend.address)
    peer = frontend.accept()
    peer.welcome()

    assert peer.ask(b"") == [(True, b"42")]


def failing(start, save, model):
    container = start(save(model), "unix:/nowhere")
    return container.exit_code(), container.log()


def test_missing_package_is_named_and_exits_3(start, save):
    code, log = failing(start, save, Calls(__import__, "sklearn_of_nobody.svm"))

    assert code == 3
    assert "Traceback (most recent call last)" in log
    assert log.endswith(
        "Missing package 'sklearn_of_nobody': pass pkgs_to_install=['sklearn_of_nobody'] when deploying\n"
    )


def test_exception_while_loading_is_shown_and_exits_1(start, save):
    code, log = failing(start, save, Calls(int, "five"))

    assert code == 1
    assert "invalid literal for int() with base 10: 'five'" in log
    assert "Traceback (most recent call last)" in log


def test_exit_while_loading_exits_1(start, save):
    code, log = failing(start, save, Calls(exec, "raise SystemExit('no licence')"))

    assert code == 1
    assert "SystemExit: no licence" in log


def test_something_that_cannot_be_called_is_named(start, save):
    code, log = failing(start, save, ["not", "a", "function"])

    assert code == 1
    assert "func.pkl holds a list, not a function: deploy something callable" in log


def test_directory_without_a_function(start, tmp_path):
    container = start(tmp_path, "unix:/nowhere")

    assert container.exit_code() == 1
    assert "CLIPPER_MODEL_PATH must be a directory with a func.pkl in it" in container.log()


@pytest.mark.parametrize("name", ["CLIPPER_MODEL_NAME", "CLIPPER_MODEL_VERSION", "CLIPPER_MODEL_PATH"])
def test_missing_variable_exits_1(start, tmp_path, name):
    container = start(tmp_path, "unix:/nowhere", **{name: None})

    assert container.exit_code() == 1
    assert container.log().endswith(f"ERROR: {name} environment variable must be set\n")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            ModuleNotFoundError("no", name="sklearn.svm"),
            "Missing package 'sklearn': pass pkgs_to_install=['scikit-learn'] ",
        ),
        (ImportError("libfoo.so not found"), ""),
        (ValueError("unsupported pickle protocol: 9"), "The function seems to be pickled by another Python"),
        (
            TypeError("code() takes at most 16 arguments (18 given)"),
            "The function seems to be pickled by another Python",
        ),
        (ValueError("other"), ""),
    ],
)
def test_advice(error, advice):
    assert advise(error).startswith(advice)
    assert bool(advise(error)) == bool(advice)


def test_runtime_is_the_same_whenever_it_is_built(runtime, tmp_path):
    target = tmp_path / "again.pyz"
    target.write_bytes(b"what was there")

    assert write_runtime(target) == target
    assert target.read_bytes() == runtime.read_bytes()
    assert os.access(target, os.X_OK)
    assert [each.name for each in tmp_path.iterdir()] == ["again.pyz"]


def test_runtime_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()

    with pytest.raises(IsADirectoryError):
        write_runtime(tmp_path / "folder")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
