"""What a query is answered."""

from __future__ import annotations

from clipper.types import ModelVersion


class Prediction:
    """An answer. ``output`` is a JSON text; ``reason`` and ``explanation`` are set if it is the default output.

    ``models`` tells whose outputs were combined if the application has more than one model, else None; ``missing``
    who was asked as well; ``confidence`` is the share of the models' weight that is known to agree.
    """

    __slots__ = ("confidence", "explanation", "missing", "models", "output", "query_id", "reason")

    def __init__(
        self,
        query_id: int,
        output: bytes,
        reason: str | None = None,
        explanation: str = "",
        models: tuple[ModelVersion, ...] | None = None,
        confidence: float = 1.0,
    ) -> None:
        self.query_id = query_id
        self.output = output
        self.reason = reason
        self.explanation = explanation
        self.models = models
        self.missing: tuple[ModelVersion, ...] = ()
        self.confidence = confidence
