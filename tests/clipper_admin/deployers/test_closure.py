"""Functions saved here and called in a fresh process, elsewhere, that knows nothing of this one."""

import functools
import json
import os
import subprocess
import sys
import textwrap
import threading
import types
from contextlib import contextmanager
from pathlib import Path

import pytest

from clipper_admin.deployers.closure import LARGE_BYTES, save_function, temporary_directory, warn_of_size
from clipper_admin.exceptions import ClipperException

CALL = """
import json, sys
from pathlib import Path
from clipper.container.load import load_function
print(json.dumps(load_function(Path(sys.argv[1]))(json.loads(sys.argv[2]))))
"""


@contextmanager
def saved_function(func):
    """The directory that a function was saved to, as long as the block runs."""
    with temporary_directory() as name:
        save_function(func, Path(name))
        yield Path(name)


def run_elsewhere(directory, inputs, cwd):
    command = [sys.executable, "-I", "-c", CALL, str(directory), json.dumps(inputs)]
    environ = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the caller's own modules; they can be imported here, and only here."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.syspath_prepend(str(project))
    loaded = set(sys.modules)

    def write(path, source):
        file = project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))
        return file

    yield write
    for name in set(sys.modules) - loaded:
        if str(project) in str(
            getattr(sys.modules[name], "__file__", "") or getattr(sys.modules[name], "__path__", "")
        ):
            del sys.modules[name]


@pytest.fixture
def answer(tmp_path):
    """What the function answers in a container."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def answer(func, inputs):
        with saved_function(func) as directory:
            result = run_elsewhere(directory, inputs, elsewhere)
        assert not directory.exists()
        return result

    return answer


def carried(messages):
    lines = [line for line in messages() if line.startswith("Carrying local modules: ")]
    return lines[0].removeprefix("Carrying local modules: ").split(", ") if lines else []


def test_a_lambda_needs_no_modules(answer, messages):
    factor = 2
    assert answer(lambda xs: [str(factor * sum(x)) for x in xs], [[1, 2], [3]]) == ["6", "6"]
    assert carried(messages) == []


def test_a_function_of_a_local_module(write, answer, messages):
    write("pricing_a.py", "RATE = 3\ndef predict(xs):\n    return [str(RATE * x) for x in xs]\n")
    import pricing_a

    assert answer(pricing_a.predict, [1, 2]) == ["3", "6"]
    assert carried(messages) == ["pricing_a"]


def test_a_package_with_data_and_relative_imports(write, answer, messages):
    write("shop_b/__init__.py", "")
    write("shop_b/words/__init__.py", "from ..numbers_b import ONE\n")
    write("shop_b/numbers_b.py", "ONE = 1\n")
    write("shop_b/table.json", '{"a": 5}')
    write("shop_b/.git/config", "secret")
    write("shop_b/__pycache__/old.pyc", "")
    write(
        "shop_b/model.py",
        """
        import json
        from pathlib import Path
        from shop_b.words import ONE
        TABLE = json.loads((Path(__file__).parent / "table.json").read_text())
        class Model:
            def predict(self, xs):
                return [TABLE[x] + ONE for x in xs]
        """,
    )
    from shop_b.model import Model

    assert answer(Model().predict, ["a"]) == [6]
    assert carried(messages) == ["shop_b"]
    with saved_function(Model().predict) as directory:
        files = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert files == {"func.pkl"} | {
        f"modules/shop_b/{name}"
        for name in ("__init__.py", "words/__init__.py", "numbers_b.py", "table.json", "model.py")
    }


def test_modules_that_modules_import_come_along(write, answer, messages):
    write("first_c.py", "import second_c\ndef predict(xs):\n    return [second_c.f(x) for x in xs]\n")
    write("second_c.py", "def f(x):\n    import third_c\n    return third_c.VALUE + x\n")
    write(
        "third_c.py",
        "VALUE = 7\ntry:\n    import not_installed_anywhere\nexcept ImportError:\n    pass\nimport first_c\n",
    )
    import first_c

    assert answer(first_c.predict, [1]) == [8]
    assert sorted(carried(messages)) == ["first_c", "second_c", "third_c"]


def test_an_import_inside_the_function(write, answer):
    write("late_d.py", "def f(x):\n    return x * 10\n")

    def predict(xs):
        def inner(x):
            from late_d import f

            return f(x)

        return [inner(x) for x in xs]

    assert answer(predict, [1, 2]) == [10, 20]


def test_a_module_captured_by_the_function(write, answer):
    write("held_e/__init__.py", "")
    write("held_e/deep.py", "def f(x):\n    return x + 1\n")
    import held_e.deep as deep

    assert answer(lambda xs: [deep.f(x) for x in xs], [1]) == [2]


def test_a_namespace_package_is_carried_without_its_data(write, answer):
    write("space_f/inner/code_f.py", "def predict(xs):\n    return [x + 2 for x in xs]\n")
    write("space_f/huge.csv", "1,2,3")
    from space_f.inner.code_f import predict

    assert answer(predict, [1]) == [3]
    with saved_function(predict) as directory:
        assert [path.name for path in directory.rglob("*") if path.is_file() and path.suffix == ".csv"] == []


def test_partials_callable_objects_and_methods(write, answer):
    write(
        "kinds_g.py",
        "class Adder:\n    def __init__(self, n):\n        self.n = n\n    def __call__(self, xs):\n"
        "        return [x + self.n for x in xs]\ndef add(n, xs):\n    return [x + n for x in xs]\n",
    )
    import kinds_g

    class Local:
        def predict(self, xs):
            return kinds_g.add(3, xs)

    assert answer(kinds_g.Adder(1), [1]) == [2]
    assert answer(functools.partial(kinds_g.add, 2), [1]) == [3]
    assert answer(Local().predict, [1]) == [4]


def test_installed_packages_are_not_carried(answer, messages):
    import numpy as np

    assert answer(lambda xs: np.array(xs).sum(axis=1).tolist(), [[1, 2]]) == [3]
    assert carried(messages) == []


def test_a_module_made_at_run_time_goes_by_value(answer, messages, monkeypatch):
    module = types.ModuleType("made_h")
    exec("def predict(xs):\n    return [x - 1 for x in xs]", module.__dict__)
    monkeypatch.setitem(sys.modules, "made_h", module)
    assert answer(module.predict, [1]) == [0]
    assert "Carrying modules without a source file by value: made_h" in messages()


def test_a_script_and_the_modules_beside_it(tmp_path):
    """What a notebook does: functions of ``__main__`` that use a module next to it."""
    (tmp_path / "helpers_i.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "other.txt").write_text("not code")
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from pathlib import Path
            import helpers_i
            from clipper_admin.deployers.closure import save_function
            BIAS = 1
            class Model:
                def predict(self, xs):
                    return [helper(x) + BIAS for x in xs]
            def helper(x):
                return helpers_i.double(x)
            save_function(Model().predict, Path(sys.argv[1]))
            """
        )
    )
    saved, elsewhere = tmp_path / "saved", tmp_path / "elsewhere"
    saved.mkdir()
    elsewhere.mkdir()
    done = subprocess.run([sys.executable, script, saved], capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr
    assert "Carrying local modules: helpers_i\n" in done.stderr
    assert [path.name for path in (saved / "modules").iterdir()] == ["helpers_i.py"]
    assert run_elsewhere(saved, [5], elsewhere) == [11]


def test_the_directory_goes_even_when_saving_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lock = threading.Lock()
    with pytest.raises(ClipperException), saved_function(lambda xs: lock):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_place_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with (
        pytest.raises(ClipperException, match=r"No temporary directory could be made .* set TMPDIR"),
        saved_function(len),
    ):
        pass


def test_too_much_data_is_refused_and_the_place_named(write, tmp_path, monkeypatch):
    write("big_j/__init__.py", "def predict(xs):\n    return xs\n")
    write("big_j/data.bin", "x" * 2000)
    monkeypatch.setattr("clipper_admin.deployers.local_modules.MOST_BYTES", 1000)
    from big_j import predict

    with pytest.raises(
        ClipperException, match=f"'big_j' in {tmp_path}/project/big_j: move data out of that directory"
    ):
        save_function(predict, tmp_path)


@pytest.mark.parametrize(
    ("size", "told"),
    [(LARGE_BYTES, []), (LARGE_BYTES + 1, ["0.3 GB"]), (1_000_000_000, ["1.0 GB"])],
    ids=["most", "above", "gigabyte"],
)
def test_much_data_is_told_with_its_size(tmp_path, messages, size, told):
    file = tmp_path / "func.pkl"
    file.touch()
    os.truncate(file, size)  # a file with a hole, which takes no disk
    warn_of_size(file)
    assert [line.split(" of data: ")[0] for line in messages()] == [f"The function holds {each}" for each in told]


def test_a_function_that_captures_much_data_is_saved_and_told_of(answer, messages, monkeypatch):
    monkeypatch.setattr("clipper_admin.deployers.closure.LARGE_BYTES", 40_000_000)
    data = bytes(50_000_000)
    assert answer(lambda xs: [len(data) + x for x in xs], [1]) == [50_000_001]
    (told,) = [line for line in messages() if "GB" in line]
    assert told.startswith(
        "The function holds 0.1 GB of data: it is copied for each version and read by each replica"
    )


def test_the_home_directory_is_never_copied(write, tmp_path, monkeypatch):
    write("home_k/__init__.py", "def predict(xs):\n    return xs\n")
    monkeypatch.setenv("HOME", str(tmp_path / "project" / "home_k"))
    from home_k import predict

    with pytest.raises(ClipperException, match="won't copy your home directory"):
        save_function(predict, tmp_path)


def test_links_in_a_package_are_followed_once(write, answer, tmp_path):
    package = write(
        "linked_l/__init__.py", "from .sub import f\ndef predict(xs):\n    return [f(x) for x in xs]\n"
    ).parent
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "__init__.py").write_text("def f(x):\n    return x + 5\n")
    (package / "sub").symlink_to(outside)
    (package / "loop").symlink_to(package)
    import linked_l

    assert answer(linked_l.predict, [1]) == [6]
