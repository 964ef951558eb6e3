"""The command from its first moment on, in a process of its own."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from clipper_command import main; main()"]
BLOCKED = "import signal; print('it is here', flush=True); signal.pause()"


@pytest.mark.parametrize("module", ["requests", "typer"])
def test_ctrl_c_while_it_starts_is_quiet(tmp_path, module):
    """One of the first modules that are imported, and one of the last, says that its turn has come, and waits."""
    (tmp_path / f"{module}.py").write_text(BLOCKED)
    environ = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"}
    process = subprocess.Popen(COMMAND, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "it is here\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130


def test_then_it_is_the_command():
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().startswith("0.")


def test_what_is_installed_begins_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"clipper": "clipper_command:main"}


def test_before_the_rest_nothing_is_imported():
    """Else an interrupt would find what this module can't catch."""
    told = "import sys; before = set(sys.modules); import clipper_command; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=60)
    assert done.stdout == "['clipper_command']\n"
