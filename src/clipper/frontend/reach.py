"""Whether a store can be reached: said in the log when that changes, and in readiness for as long as it lasts."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from clipper.log_format import stamp
from clipper.store.journal import wall_clock

log = logging.getLogger(__name__)

READING: Final = "reading"
WRITING: Final = "writing"
NEITHER: Final = ""
"""What says nothing about the store."""


class Trouble(NamedTuple):
    """``causes``: of what fails (``READING``, ``WRITING``), why; ``since``: seconds since the epoch."""

    since: float
    causes: Mapping[str, str]

    def to_json(self) -> dict[str, object]:
        return {"since": stamp(self.since), "causes": dict(self.causes)}


class Reach:
    """What the last attempts showed. Told by the store's thread, read by any other."""

    def __init__(self, lost: str, back: str) -> None:
        """``lost``, with a cause after it, and ``back`` are for the log."""
        self._lost = lost
        self._back = back
        self._back_at = -float("inf")
        self.trouble: Trouble | None = None

    @property
    def up(self) -> bool:
        return self.trouble is None

    def was_lost_within(self, seconds: float) -> bool:
        """Whether it is, or was so short ago, out of reach."""
        return self.trouble is not None or time.monotonic() - self._back_at < seconds

    def failed(self, doing: str, cause: str) -> None:
        before = self.trouble
        if before is None:
            log.warning("%s: %s", self._lost, cause)
        since, causes = before or (wall_clock(), {})
        self.trouble = Trouble(since, {**causes, doing: cause})

    def worked(self, doing: str) -> None:
        before = self.trouble
        if before is None or doing not in before.causes:
            return
        causes = {other: cause for other, cause in before.causes.items() if other != doing}
        self.trouble = before._replace(causes=causes) if causes else None
        if self.trouble is None:
            self._back_at = time.monotonic()
            log.warning("%s", self._back)
