"""What a figure's module hands over, and how it is shown: Markdown to read, JSON to compute with, SVG to look at."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

RESULTS = Path(__file__).parents[1] / "results"
VERSIONS = ("clipper-serving", "numpy", "scikit-learn", "uvloop", "httptools", "msgspec")

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; None is what there is no figure for."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def markdown(self) -> str:
        lines = [self.head, ["---"] * len(self.head), *([text(cell) for cell in row] for row in self.rows)]
        return "\n".join([f"## {self.title}", "", *("| " + " | ".join(line) + " |" for line in lines)])


@dataclass(frozen=True, slots=True)
class Result:
    """A figure: ``remarks`` say what it is of and what differs from the paper; ``draw`` gets matplotlib's axes."""

    name: str
    title: str
    remarks: str
    tables: tuple[Table, ...]
    draw: Callable[[Any], None] | None = None


def text(cell: Cell) -> str:
    """Three digits that count, or all of a number over 1,000."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 1000:
        return f"{cell:,.0f}"
    return f"{cell:.3g}" if abs(cell) < 100 else f"{cell:.0f}"


def about(quick: bool) -> dict[str, object]:
    return {
        "date": datetime.date.today().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in VERSIONS},
        "quick": quick,
    }


def markdown(result: Result, run: dict[str, object]) -> str:
    where = f"{run['date']}, {run['machine']}, {run['cores']} cores, Python {run['python']}"
    head = [f"# {result.title}", f"{where}{', quick run' if run['quick'] else ''}.", result.remarks.strip()]
    return "\n\n".join([*head, *(table.markdown() for table in result.tables)]) + "\n"


def publish(result: Result, folder: Path, run: dict[str, object]) -> None:
    """Writes ``<name>.md``, ``.json`` and ``.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = [{"title": each.title, "head": each.head, "rows": each.rows} for each in result.tables]
    (folder / f"{result.name}.json").write_text(json.dumps({"about": run, "tables": tables}, indent=1) + "\n")
    (folder / f"{result.name}.md").write_text(markdown(result, run))
    if result.draw is not None:
        with rc_context({"svg.hashsalt": result.name, "svg.fonttype": "none"}):  # the same picture is the same file
            figure = Figure(figsize=(7, 4), layout="constrained")
            axes = figure.subplots()
            axes.set_title(result.title)
            result.draw(axes)
            figure.savefig(folder / f"{result.name}.svg", metadata={"Date": None})


def show(run: Callable[[bool], Result], quick: bool, folder: Path | None) -> None:
    """Runs one figure, prints it, and writes it to ``folder`` unless that is None."""
    found, conditions = run(quick), about(quick)
    print(markdown(found, conditions), flush=True)
    if folder is not None:
        publish(found, folder, conditions)


def options(description: str | None) -> tuple[bool, Path | None]:
    """``--quick`` and where results go: a quick run only prints, unless it is told a folder."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="every piece of the code, for a second or so")
    parser.add_argument("--results", type=Path, help=f"where to write (default: {RESULTS}; quick: nowhere)")
    given = parser.parse_args()
    return given.quick, given.results or (None if given.quick else RESULTS)


def main(run: Callable[[bool], Result], description: str | None) -> None:
    show(run, *options(description))
