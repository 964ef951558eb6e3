"""What a predict body asks."""

from __future__ import annotations


class PredictRequest:
    """Its inputs as the bytes a model gets, whether they came as a batch, and what stands beside them."""

    __slots__ = ("inputs", "is_batch", "user_id", "version")

    def __init__(
        self,
        inputs: list[bytes],
        is_batch: bool = False,
        version: str | None = None,
        user_id: str | int | None = None,
    ) -> None:
        self.inputs = inputs
        self.is_batch = is_batch
        self.version = version
        self.user_id = user_id
