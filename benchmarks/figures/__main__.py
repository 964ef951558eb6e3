"""All figures, one after the other: ``python -m benchmarks.figures [--quick] [--results FOLDER]``.

A quick run is for the code, not for its numbers: it has several under way at a time.
"""

from __future__ import annotations

import functools
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.figures import cache_policies, caching, fig3, fig4, fig5, fig6, fig9, scaling, tables

FIGURES = (cache_policies, fig3, fig4, fig5, caching, fig6, scaling, fig9)
AT_A_TIME = 3


def show(quick: bool, folder: Path | None, number: int) -> None:
    began = time.monotonic()
    tables.show(FIGURES[number].run, quick, folder)
    print(f"{FIGURES[number].__name__} took {time.monotonic() - began:.0f} s\n", file=sys.stderr, flush=True)


def main() -> None:
    quick, folder = tables.options(__doc__)
    one = functools.partial(show, quick, folder)
    if quick:
        with ProcessPoolExecutor(AT_A_TIME) as processes:
            list(processes.map(one, range(len(FIGURES))))
    else:
        list(map(one, range(len(FIGURES))))


if __name__ == "__main__":
    main()
