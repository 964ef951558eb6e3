"""What a query is answered."""

from __future__ import annotations

import msgspec

from clipper.types import ModelVersion


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """An answer. ``output`` is a JSON text; ``reason`` and ``explanation`` are set if it is the default output.

    ``models`` tells whose outputs were combined if the application has more than one model, else None;
    ``confidence`` is the share of the models' weight that agrees.
    """

    query_id: int
    output: bytes
    reason: str | None = None
    explanation: str = ""
    models: tuple[ModelVersion, ...] | None = None
    confidence: float = 1.0
