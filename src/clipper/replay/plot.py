"""The estimated error of each policy over the course of a log."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from clipper.errors import BadRequest
from clipper.replay.estimators import running
from clipper.replay.evaluation import Evaluation
from clipper.replay.report import label_of

SUFFIXES: Final = (".svg", ".png", ".pdf")
_POINTS: Final = 500
_UNSETTLED: Final = 0.01
"""The first part of a log, whose means jump about: the axis need not hold it."""


def check(path: Path) -> None:
    """BadRequest if no plot can be written there: said before the work, not after it."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadRequest(f"{path}: plots are files that end in {', '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise BadRequest(f"{path}: there is no folder {path.absolute().parent}")
    _matplotlib("figure")


def _matplotlib(module: str) -> Any:
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError:
        raise BadRequest("Plots take matplotlib, which is not installed: `pip install matplotlib`") from None


def draw(evaluation: Evaluation, path: Path) -> None:
    """Writes the mean DR loss up to each entry, with its 95 % band, and the log's own."""
    figure = _matplotlib("figure").Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    tops = [_curve(axes, "(as logged)", evaluation.losses, "black", False)]
    for place, replay in enumerate(evaluation.replays):
        tops.append(_curve(axes, label_of(replay.target), replay.terms.robust, f"C{place}", True))
    axes.set(xlabel="feedbacks", ylabel="mean loss so far (DR, 95 %)", title=evaluation.app)
    axes.set_ylim(bottom=0.0, top=min(1.05, 1.2 * max(tops)))
    axes.legend()
    _save(figure, path)


def _curve(axes: Any, label: str, terms: Any, colour: str, band: bool) -> float:
    """Draws one curve; the highest that it gets once it is settled."""
    means, widths = running(terms)
    shown = np.unique(np.linspace(0, len(means) - 1, _POINTS).astype(int))
    axes.plot(shown + 1, means[shown], label=label, color=colour, linestyle="-" if band else "--", linewidth=1.5)
    if band:
        low, high = means - widths, means + widths
        axes.fill_between(shown + 1, low[shown], high[shown], color=colour, alpha=0.2, linewidth=0)
    settled = means[int(_UNSETTLED * len(means)) :]
    return float(max(settled.max(), 0.01))


def _save(figure: Any, path: Path) -> None:
    try:
        figure.savefig(path)
    except OSError as error:
        raise BadRequest(f"{path} can't be written: {error.strerror}") from None
