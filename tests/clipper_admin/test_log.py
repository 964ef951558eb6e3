"""Who sees Clipper's log lines; each case in a fresh process, as logging is set up once."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import clipper_admin

LOGGER = "logging.getLogger('clipper_admin.connection')"
SAY = f"from clipper_admin.log import SessionLogger; SessionLogger({LOGGER}).info('Clipper is running')"


def stderr_of(*lines):
    code = "\n".join(["import logging", *lines, SAY])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stderr


def test_a_bare_session_sees_the_lines_of_the_quickstart():
    line = r"\d\d-\d\d-\d\d:\d\d:\d\d:\d\d INFO     \[<string>:\d+\] Clipper is running\n"
    assert re.fullmatch(line, stderr_of("import clipper_admin"))


@pytest.mark.parametrize(
    "setup",
    [
        ("logging.basicConfig(format='mine %(message)s', level='INFO')", "import clipper_admin"),
        ("import clipper_admin", "logging.basicConfig(format='mine %(message)s', level='INFO')"),
    ],
)
def test_an_application_with_logging_sees_them_once_in_its_own_format(setup):
    assert stderr_of(*setup) == "mine Clipper is running\n"


@pytest.mark.parametrize(
    "setup",
    [
        "logging.basicConfig(level='ERROR')",
        "logging.basicConfig()",
        "logging.getLogger().addHandler(logging.StreamHandler())",
    ],
)
@pytest.mark.parametrize("spoken_before", ["", SAY])
def test_the_level_of_an_application_counts_whenever_it_is_set(setup, spoken_before):
    lines = stderr_of("import clipper_admin", spoken_before, "import sys; print('--', file=sys.stderr)", setup)
    assert lines.partition("--\n")[2] == ""


def test_a_more_curious_application_gets_more():
    debug = f"SessionLogger({LOGGER}).debug('a detail')"
    lines = stderr_of("import clipper_admin", "logging.basicConfig(level='DEBUG')", SAY, debug)
    assert "DEBUG:clipper_admin.connection:a detail" in lines


def test_a_level_chosen_for_clipper_alone_stays():
    chosen = "logging.getLogger('clipper_admin').setLevel('INFO')"
    assert "Clipper is running" in stderr_of("import clipper_admin", chosen, "logging.basicConfig(level='ERROR')")


def test_every_logger_gives_way():
    """Whatever of the library logs must ask first; a plain logger in between would speak up."""
    source = Path(clipper_admin.__file__).parent
    plain = [p.name for p in source.rglob("*.py") if re.search(r"^\w+ = logging.getLogger", p.read_text(), re.M)]
    assert plain == []


def test_the_root_logger_is_left_alone():
    assert "is running" in stderr_of("import clipper_admin", SAY, "assert not logging.getLogger().handlers")
    assert "other" not in stderr_of("import clipper_admin", "logging.getLogger('other').info('other')")


def test_a_level_that_was_chosen_stays():
    assert stderr_of("logging.getLogger('clipper_admin').setLevel('ERROR')", "import clipper_admin") == ""
