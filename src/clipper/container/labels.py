"""Labels as a model has them: a text that could be read as JSON is a text all the same."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def as_labels(outputs: Any) -> Any:
    """Outputs in which a text, such as the label "1e5", comes through as it is, where it would come as a number."""
    if isinstance(outputs, np.ndarray) and outputs.ndim == 1 and outputs.dtype.kind not in "biufc":
        outputs = outputs.tolist()
    if isinstance(outputs, list):
        return [json.dumps(each, ensure_ascii=False) if isinstance(each, str) else each for each in outputs]
    return outputs
