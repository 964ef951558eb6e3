from __future__ import annotations

import pytest

from clipper.config import Config, load_config
from clipper.errors import ConfigError


def test_defaults() -> None:
    assert load_config([], {}) == Config()


def test_flags_win_over_the_environment_and_that_over_defaults() -> None:
    environ = {"CLIPPER_QUERY_PORT": "1", "CLIPPER_DRAIN_TIMEOUT": "2.5", "CLIPPER_UNHEARD": "x"}
    config = load_config(["--query-port", "3", "--host=::1"], environ)
    assert (config.query_port, config.drain_timeout, config.host) == (3, 2.5, "::1")


def test_an_environment_variable_of_the_wrong_type_is_named() -> None:
    with pytest.raises(ConfigError, match="CLIPPER_QUERY_PORT='many' is not int"):
        load_config([], {"CLIPPER_QUERY_PORT": "many"})


@pytest.mark.parametrize("argv", [["--unheard", "1"], ["--query-port", "many"]])
def test_flags_that_do_not_fit_end_with_a_usage_error(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load_config(argv, {})
    assert ended.value.code == 2
    assert argv[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["--query-port=-1"],
        ["--log-level=loud"],
        ["--log-format=xml"],
        ["--rpc-port=70000"],
        ["--cache-bytes=-1"],
        ["--queue-limit=0"],
        ["--request-timeout=-3"],
        ["--content-timeout=nan"],
        ["--drain-timeout=inf"],
    ],
)
def test_numbers_that_make_no_sense_are_refused(argv: list[str]) -> None:
    with pytest.raises(ConfigError, match=argv[0].partition("=")[0]):
        load_config(argv, {})
