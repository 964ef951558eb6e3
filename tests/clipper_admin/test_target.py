import sys

import pytest

from clipper_admin.exceptions import ClipperException
from clipper_admin.target import load_target


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A current directory; modules and paths are as before afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_functions_and_attributes_are_found(project):
    (project / "found_t.py").write_text(
        "class M:\n    def predict(self, xs):\n        return xs\nbest = M()\nf = len\n"
    )
    assert load_target("found_t:f") is len
    assert load_target("found_t:best.predict")([1]) == [1]


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("plain", "'plain' does not name a function: write module:function"),
        ("module:", "does not name a function"),
        ("absent_t:f", "There is no module 'absent_t' in /"),
        ("there_t:g", r"There is no 'g' in <module 'there_t' .*; it has: f"),
        ("there_t:x", "there_t:x is not a function but 3 of type int"),
        ("broken_t:f", r"Importing 'broken_t' failed at .*broken_t.py:2: ZeroDivisionError: division by zero"),
        (
            "needs_t:f",
            r"Importing 'needs_t' failed at .*needs_t.py:1: ModuleNotFoundError: No module named 'nowhere_t'",
        ),
        ("quits_t:f", r"Importing 'quits_t' failed at .*quits_t.py:1: SystemExit: 0"),
    ],
)
def test_what_can_not_be_loaded(project, target, error):
    (project / "there_t.py").write_text("x = 3\ndef f(xs):\n    return xs\n")
    (project / "broken_t.py").write_text("x = 1\ny = x / 0\n")
    (project / "needs_t.py").write_text("import nowhere_t\n")
    (project / "quits_t.py").write_text("raise SystemExit(0)\n")
    with pytest.raises(ClipperException, match=error):
        load_target(target)


def test_a_current_directory_that_was_removed(project, monkeypatch):
    gone = project / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ClipperException, match=r"The current directory can't be read .* Change to the one"):
        load_target("found_t:f")
