"""One evaluation of one input by one model version, and everybody who waits for it."""

from __future__ import annotations

from typing import Protocol

from clipper.types import ModelVersion


class Waiter(Protocol):
    """Who asked for an output. Exactly one of the two is called, once, for each model asked; maybe at once."""

    def output(self, model: ModelVersion, fragment: bytes) -> None:
        """The model's output, a JSON text."""
        ...

    def failure(self, model: ModelVersion, reason: str, detail: str) -> None:
        """There will be no output; ``reason`` is one of the default reasons, ``detail`` is for people."""
        ...


MAX_TRIES = 3
"""A query whose replica died is sent to another one; but one that killed three is the likely killer."""


class Flight:
    """A query on its way through a model: queued, in a batch that a replica works on, or both while it is hedged.

    It is over when nobody waits any more. ``shared``: later queries for the same output join it. ``batches`` counts
    the batches in flight that hold it, ``tries`` the replicas that died while they worked on it. ``request_id``:
    the first client's, if any.
    """

    __slots__ = (
        "batches",
        "deadline",
        "hedged",
        "input",
        "model",
        "queued",
        "queued_at",
        "request_id",
        "shared",
        "tries",
        "waiters",
    )

    def __init__(
        self,
        model: ModelVersion,
        data: bytes,
        deadline: float,
        queued_at: float,
        waiters: list[Waiter],
        request_id: str = "",
    ) -> None:
        self.model = model
        self.input = data
        self.deadline = deadline
        self.queued_at = queued_at
        self.waiters = waiters
        self.request_id = request_id
        self.queued = False
        self.shared = False
        self.hedged = False
        self.batches = 0
        self.tries = 0

    def join(self, waiter: Waiter, deadline: float) -> None:
        """One more waits for the same output; the flight is of use until the last of them gives up."""
        self.waiters.append(waiter)
        self.deadline = max(self.deadline, deadline)

    def land(self, fragment: bytes) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter.output(self.model, fragment)

    def fail(self, reason: str, detail: str) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter.failure(self.model, reason, detail)
