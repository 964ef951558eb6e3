"""Tables and pictures of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.report import Failure, Run, Sample, case_table, read, render, results, spread, targets_table, write

ABOUT = {
    "date": "2026-01-02",
    "machine": "x",
    "cores": 2,
    "python": "3.11",
    "quick": False,
    "generator": "wrk",
    "seconds": 3.0,
    "rounds": 2,
}


def load(rate: float, p99: float = 4.0, not_ok: int = 0) -> Load:
    return Load(rate, p99 / 2, p99, p99 * 2, not_ok, 0, 1000)


def run_of(*samples: tuple[str, str, int, Load], failures: list[Failure] | None = None) -> Run:
    """Samples are (workload, system, round, load), at 64 connections."""
    made = [Sample(workload, system, 64, number, each) for workload, system, number, each in samples]
    return Run(ABOUT, {"mosec": {"mosec": "0.9.8"}}, made, failures or [])


TWICE = run_of(
    ("sum", "clipper", 1, load(100)),
    ("sum", "mosec", 1, load(50)),
    ("sum", "clipper", 2, load(60, not_ok=500)),
    ("sum", "mosec", 2, load(10)),
)


def test_ratios_are_within_rounds_and_of_good_answers() -> None:
    assert TWICE.ratios("sum", 64, "mosec") == [2.0, 3.0]
    assert TWICE.ratios("sum", 64, "triton") == []


def test_the_fastest_comes_first_and_the_absent_last() -> None:
    run = run_of(
        ("sum", "mosec", 1, load(50)),
        ("sum", "clipper", 1, load(100)),
        failures=[Failure("sum", "triton", "no | wheel"), Failure("image", "mosec", "other")],
    )
    rows = case_table(run, "sum", 64).rows
    assert [row[0] for row in rows] == ["Clipper", "mosec", "Triton"]
    assert rows[0][-1] == ""
    assert rows[1][-1] == "2.00"
    assert rows[2][1] == "could not run, see below"


@pytest.mark.parametrize(
    ("ours", "reached"), [(load(100, p99=3), "yes"), (load(100, p99=5), "no"), (load(99, p99=3), "no")]
)
def test_a_target_is_of_throughput_and_p99(ours: Load, reached: str) -> None:
    run = run_of(("sum", "clipper", 1, ours), ("sum", "mosec", 1, load(50)))
    (row,) = targets_table(run).rows
    assert row[0] == "sum, 64 connections, against mosec"
    assert row[1] == "2.00 and a lower p99"
    assert row[4] == reached


def test_spreads() -> None:
    assert spread([]) == "-"
    assert spread([2.0]) == "2.00"
    assert spread([1.0, 3.0, 2.0]) == "2.00 (1.00-3.00)"


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(TWICE, tmp_path / "deep" / "run.json")
    assert read(tmp_path / "deep" / "run.json") == TWICE


def test_what_all_run_and_the_rest_have_a_report_each(tmp_path: Path) -> None:
    failure = Failure("image", "mosec", "its log ends: a | b")
    run = run_of(("sum", "clipper", 1, load(100)), ("image", "clipper", 1, load(7)), failures=[failure])
    assert [result.name for result in render(run, tmp_path)] == ["peers", "models"]
    peers, models = ((tmp_path / f"{name}.md").read_text() for name in ("peers", "models"))
    assert "## sum, 64 connections" in peers
    assert "## image, 64 connections" not in peers
    assert "## image, 64 connections" in models
    assert "| mosec | image | its log ends: a / b |" in models
    assert (tmp_path / "peers.svg").read_text().startswith("<?xml")


def test_a_run_in_which_nothing_ran_still_says_why(tmp_path: Path) -> None:
    failure = Failure("sum", "clipper", "no memory")
    (result,) = render(run_of(failures=[failure]), tmp_path)
    assert "no memory" in (tmp_path / f"{result.name}.md").read_text()
    assert results(run_of()) == []
