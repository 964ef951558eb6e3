"""Environments are made with the real uv from the package index that also made the one these tests run in."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.environments import (
    environment_key,
    find_interpreter,
    make_environment,
    pip_config_files,
    python_version,
    uv_variables,
)

SMALL_PACKAGE = "xmltodict"


def run(python, code):
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_an_environment_has_the_packages_and_what_the_container_needs(tmp_path, logger, caplog):
    caplog.set_level("INFO", logger="clipper_admin")
    python = make_environment(tmp_path / "environments", sys.executable, [SMALL_PACKAGE], logger)
    assert run(python, "import cloudpickle; print(cloudpickle.__version__)") == metadata.version("cloudpickle")
    assert run(python, f"import numpy, {SMALL_PACKAGE}; print(numpy.arange(3).sum())") == "3"
    assert (
        run(python, "import importlib.util as u; print(u.find_spec('clipper'), u.find_spec('pytest'))") == "None None"
    )
    assert any(f"uv:  + {SMALL_PACKAGE}==" in message for message in caplog.messages)
    caplog.clear()
    assert (
        make_environment(tmp_path / "environments", sys.executable, [f" {SMALL_PACKAGE.upper()} "], logger) == python
    )
    assert not any("uv:" in message for message in caplog.messages)


def test_two_deploys_at_once_make_one_environment(tmp_path, logger):
    with ThreadPoolExecutor() as pool:
        made = pool.map(lambda _: make_environment(tmp_path, sys.executable, [SMALL_PACKAGE], logger), range(3))
    assert len(set(made)) == 1
    assert len([each for each in tmp_path.iterdir() if each.is_dir()]) == 1


def test_an_unknown_package_is_told_in_uvs_words_and_leaves_nothing(tmp_path, logger):
    with pytest.raises(ClipperException) as caught:
        make_environment(tmp_path, sys.executable, ["no-such-package-of-anybody"], logger)
    assert "uv says" in str(caught.value)
    assert "no-such-package-of-anybody" in str(caught.value)
    assert [each for each in tmp_path.iterdir() if each.suffix != ".lock"] == []


@pytest.mark.parametrize("package", ["", "  ", "--index-url=x", "-r file"])
def test_what_is_no_requirement_is_refused(tmp_path, logger, package):
    with pytest.raises(ClipperException, match="is not a requirement"):
        make_environment(tmp_path, sys.executable, [package], logger)


def test_keys_are_equal_for_equal_content_alone():
    def key(*requirements, version="3.11.7", python="/py"):
        return environment_key(version, python, requirements)

    assert key("A_b", "c") == key("c", "a-B ")
    assert key("a") != key("b")
    assert key("a==1") != key("a==2")
    assert key("a") != key("a", version="3.12.0")
    assert key("a") != key("a", python="/other")
    assert key("./local") != key("./local")
    assert key("a @ file:///x") != key("a @ file:///x")


def test_pips_settings_are_passed_on_to_uv(tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = i\nextra-index-url = e1\n  e2\nfind-links = l1 l2\n")
    variables = uv_variables({"PIP_INDEX_URL": "mine", "PIP_CERT": "/cert"}, [tmp_path / "absent", config])
    assert variables == {
        "UV_DEFAULT_INDEX": "mine",
        "UV_INDEX": "e1 e2",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "l1,l2",
        "SSL_CERT_FILE": "/cert",
    }


def test_uvs_own_settings_come_first(tmp_path):
    assert uv_variables({"PIP_INDEX_URL": "pip", "UV_DEFAULT_INDEX": "uv"}, []) == {}


@pytest.mark.parametrize("text", ["not an ini file", "[other]\nindex-url = x", "[global]\nindex-url = %(x)s"])
def test_odd_configuration_of_pip_does_no_harm(tmp_path, text):
    (tmp_path / "pip.conf").write_text(text)
    assert set(uv_variables({}, [tmp_path / "pip.conf"])) <= {"UV_DEFAULT_INDEX"}


def test_the_file_named_for_pip_counts_most():
    assert pip_config_files({"PIP_CONFIG_FILE": "/mine"})[-1] == Path("/mine")
    assert Path("/x/pip/pip.conf") in pip_config_files({"XDG_CONFIG_HOME": "/x"})


def test_the_default_interpreter_is_the_callers(logger):
    assert find_interpreter("default", [], logger) == sys.executable


def test_a_named_interpreter_is_used(logger):
    assert find_interpreter(sys.executable, [], logger) == sys.executable
    assert python_version(sys.executable) == ".".join(map(str, sys.version_info[:3]))


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_an_interpreter_that_is_not_there(logger):
    with pytest.raises(ClipperException, match=r"clipper/python311:1.* is not there to run.*path of a Python"):
        find_interpreter("clipper/python311:1", [], logger)


def test_an_interpreter_that_fails(tmp_path, logger):
    with pytest.raises(ClipperException, match="does not run as a Python interpreter: broken"):
        find_interpreter(script(tmp_path / "python", "echo broken >&2; exit 1"), [], logger)


def test_an_interpreter_without_numpy(tmp_path, logger):
    bare = script(tmp_path / "python", f'exec {os.path.realpath(sys.executable)} -S "$@"')
    with pytest.raises(ClipperException, match=r"No module named 'numpy'.*pkgs_to_install"):
        find_interpreter(bare, [], logger)
    assert find_interpreter(bare, [SMALL_PACKAGE], logger) == bare


def test_another_python_than_the_callers_is_warned_of(tmp_path, logger, caplog):
    old = script(tmp_path / "python", "echo 3.1.4")
    find_interpreter(old, [], logger)
    assert "may not load under Python 3.1.4" in caplog.text
