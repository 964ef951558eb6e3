"""What the experiments are told: how much to do, and where the recorded outputs of the CIFAR-10 models are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """``data``: the file that ``--data`` names, if any. ``quick``: a run for the code, not for its numbers."""

    quick: bool = False
    data: Path | None = None
