"""The answer of policies that ask one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clipper.selection.policy import Combined
from clipper.types import ModelVersion


def first(outputs: Mapping[ModelVersion, bytes], missing: Sequence[ModelVersion]) -> Combined | None:
    """The output of the one model asked. Were there more, the confidence is the share of them that say the same."""
    for output in outputs.values():
        if len(outputs) == 1 and not missing:
            return Combined(output, 1.0, True, 1.0)
        same = sum(each == output for each in outputs.values())
        asked = len(outputs) + len(missing)
        return Combined(output, same / asked, not missing, (same + len(missing)) / asked)
    return None
