import math
from pathlib import Path

import numpy as np
import pytest

from clipper.management import checks
from clipper_admin import ClipperConnection, LocalContainerManager, cli_models, defaults, limits
from clipper_admin.exceptions import ClipperException

NO_WHOLE_NUMBERS = [None, "2", 2.5, 2.0, True, [], np.float64(1)]


@pytest.mark.parametrize("wrong", [*NO_WHOLE_NUMBERS, -1])
def test_whole_numbers(wrong):
    assert limits.whole_number("n", 0) == 0
    assert type(limits.whole_number("n", np.int64(3))) is int
    with pytest.raises(ClipperException, match="n must be 0 or more, a whole number, not "):
        limits.whole_number("n", wrong)


@pytest.mark.parametrize("wrong", [None, "2", True, 0, -3, math.inf, math.nan, []])
def test_seconds(wrong):
    assert limits.seconds("t", 5) == limits.seconds("t", np.float32(5)) == 5.0
    with pytest.raises(ClipperException, match="t must be more than 0, a number of seconds, not "):
        limits.seconds("t", wrong)


@pytest.mark.parametrize("wrong", [*NO_WHOLE_NUMBERS, -1, 65_536, "1337"])
def test_ports(wrong):
    assert [limits.tcp_port("p", each) for each in (0, 65_535)] == [0, 65_535]
    with pytest.raises(ClipperException, match=r"p: .* is not a TCP port; take one from 1 to 65535, or 0"):
        limits.tcp_port("p", wrong)


@pytest.mark.parametrize("wrong", [*NO_WHOLE_NUMBERS, -2, 0, limits.LARGEST_BATCH + 1])
def test_batch_sizes(wrong):
    assert [limits.batch_limit(each) for each in (-1, 1, limits.LARGEST_BATCH)] == [-1, 1, limits.LARGEST_BATCH]
    with pytest.raises(ClipperException, match=r"The batch size must be positive or .* not "):
        limits.batch_limit(wrong)


@pytest.mark.parametrize("wrong", [*NO_WHOLE_NUMBERS, -2, limits.LONGEST_DELAY + 1])
def test_batch_delays(wrong):
    assert [limits.batch_delay(each) for each in (-1, 0, np.int64(7), limits.LONGEST_DELAY)] == [
        -1,
        0,
        7,
        limits.LONGEST_DELAY,
    ]
    with pytest.raises(ClipperException, match=r"batch_delay_micros must be 0 \(none\), -1 \(learned\) or .* not "):
        limits.batch_delay(wrong)


@pytest.mark.parametrize("wrong", [None, 1, "", "AIMD", "fixed", ["aimd"]])
def test_ways_to_learn(wrong):
    assert [limits.learning(each) for each in limits.BATCHING] == ["aimd", "quantile"]
    with pytest.raises(ClipperException, match="batching must be 'aimd' or 'quantile', not "):
        limits.learning(wrong)


def test_batching_settings_that_are_given():
    assert limits.batching_settings(None, None, None) == {}
    assert limits.batching_settings(1, "quantile", None) == {"batch_size": 1, "batching": "quantile"}
    with pytest.raises(ClipperException, match="batching must be"):
        limits.batching_settings(1, "best", 0)


@pytest.mark.parametrize("wrong", ["x", 5, {"x": 1}, ["a:b"], ["a,b"], [5], [""], ["a\n"], ["a" * 129]])
def test_labels(wrong):
    assert limits.labels(None) == []
    assert limits.labels(("a b", "c" * 128)) == ["a b", "c" * 128]
    with pytest.raises(ClipperException, match="label"):
        limits.labels(wrong)


def test_what_nobody_gave_is_still_known_for_it():
    assert isinstance(limits.tcp_port("port", defaults.QUERY_PORT), defaults.Default)
    assert isinstance(limits.whole_number("size", defaults.CACHE_SIZE), defaults.Default)
    assert isinstance(limits.seconds("timeout", defaults.REQUEST_TIMEOUT), defaults.Default)
    assert not isinstance(limits.tcp_port("port", 1337), defaults.Default)


def test_the_limits_are_those_of_the_management_frontend():
    assert (limits.LARGEST_BATCH, limits.LONGEST_LABEL) == (checks.MAX_BATCH, checks.MAX_NAME)
    assert (limits.LONGEST_DELAY, limits.BATCHING) == (checks.MAX_DELAY_MICROS, checks.BATCHING)
    assert tuple(cli_models.Learning) == checks.BATCHING


@pytest.mark.parametrize(
    "wrong",
    [
        {"cluster_name": None},
        {"cluster_name": 5},
        {"clipper_query_port": "1337"},
        {"clipper_management_port": 1.5},
        {"clipper_rpc_port": None},
        {"deploy_timeout": "long"},
    ],
)
def test_a_manager_says_what_it_can_not_take(wrong):
    (name,) = wrong
    with pytest.raises(ClipperException, match=name.replace("_name", " name")):
        LocalContainerManager(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_frontend_replicas": 1.5},
        {"num_frontend_replicas": 0},
        {"cache_size": "x"},
        {"cache_size": -1},
        {"qf_http_timeout_request": 0},
        {"qf_http_timeout_request": -3},
        {"qf_http_timeout_content": None},
    ],
)
def test_nothing_is_started_with_what_can_not_be(tmp_path: Path, wrong):
    (name,) = wrong
    with pytest.raises(ClipperException, match=f"{name} must be"):
        ClipperConnection(LocalContainerManager(home=tmp_path)).start_clipper(**wrong)
    assert list(tmp_path.iterdir()) == []
