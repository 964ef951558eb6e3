"""Who sees Clipper's log lines; each case in a fresh process, as logging is set up once."""

import re
import subprocess
import sys

import pytest

SAY = "logging.getLogger('clipper_admin.connection').info('Clipper is running')"


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


def test_the_root_logger_is_left_alone():
    assert stderr_of("import clipper_admin", "assert not logging.getLogger().handlers", "logging.info('x')") != ""
    assert "other" not in stderr_of("import clipper_admin", "logging.getLogger('other').info('other')")


def test_a_level_that_was_chosen_stays():
    assert stderr_of("logging.getLogger('clipper_admin').setLevel('ERROR')", "import clipper_admin") == ""
