"""All experiments, one after the other: ``python -m benchmarks.selection [--quick] [--only fig8,regret]``.

A quick run is for the code, not for its numbers.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import tables
from benchmarks.selection.settings import Settings

EXPERIMENTS = ("fig7", "fig8", "served", "fig9", "fig10", "regret", "cost")
FOLDER = "selection"
"""In the folder of the results, for some of ours are named as other figures are."""


def show(name: str, settings: Settings, folder: Path | None) -> None:
    """Runs one experiment, prints what it found, and writes it to ``folder`` unless that is None."""
    began = time.monotonic()
    experiment = importlib.import_module(f"benchmarks.selection.{name}")
    conditions = tables.about(settings.quick)
    conditions["versions"] = {**conditions["versions"], "river": version("river")}  # type: ignore[dict-item]
    for result in experiment.run(settings):
        print(tables.markdown(result, conditions), flush=True)
        if folder is not None:
            tables.publish(result, folder / FOLDER, conditions)
    print(f"{name} took {time.monotonic() - began:.0f} s\n", file=sys.stderr, flush=True)


def chosen(names: str) -> tuple[str, ...]:
    """The experiments of a list with commas between; argparse.ArgumentTypeError for one that there is not."""
    found = tuple(name.strip() for name in names.split(","))
    for name in found:
        if name not in EXPERIMENTS:
            raise argparse.ArgumentTypeError(f"there is no experiment {name!r}: choose of {','.join(EXPERIMENTS)}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="every piece of the code, for a few seconds")
    parser.add_argument("--only", type=chosen, default=EXPERIMENTS, help=f"of {','.join(EXPERIMENTS)}")
    parser.add_argument("--data", type=Path, help="recorded outputs of CIFAR-10 models, an .npz of softmax and label")
    parser.add_argument("--results", type=Path, help=f"where to write (default: {tables.RESULTS}; quick: nowhere)")
    given = parser.parse_args()
    if given.data is not None and not given.data.exists():
        parser.error(f"--data: there is no file {given.data}")
    folder = given.results or (None if given.quick else tables.RESULTS)
    for name in given.only:
        show(name, Settings(given.quick, given.data), folder)


if __name__ == "__main__":
    main()
