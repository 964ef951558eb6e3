"""Lets the threads of the management frontend use one store, one after the other."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from clipper.errors import StoreConflict, StoreError, Unavailable
from clipper.management.turns import WAIT_SECONDS, Turns
from clipper.store.base import Store
from clipper.types import Registry, Replica

logger: Final = logging.getLogger(__name__)

ATTEMPTS: Final = 5
FOLLOW_SECONDS: Final = 0.5
"""How long an answer waits for the frontends to serve what was committed. They take a tenth of that; the bound is for
one that was killed and has not come back."""
_PAUSE: Final = 0.005


class Registrar:
    """Reads a store, and commits what rules decide. All methods block, and raise StoreError as the store does.

    ``wait`` is how long, in seconds, one request waits for those before it; then it fails with Unavailable.
    """

    def __init__(self, store: Store, wait: float = WAIT_SECONDS) -> None:
        self._turns = Turns(store, wait)

    def read(self) -> Registry:
        with self._turns.take() as store:
            return store.read()

    def replicas(self) -> list[Replica]:
        with self._turns.take() as store:
            return store.replicas()

    def metrics_addresses(self) -> dict[str, str]:
        """Those of the query frontends, by name."""
        with self._turns.take() as store:
            return store.metrics_addresses()

    def apply(self, rule: Callable[[Registry], Registry]) -> None:
        """Commits what ``rule`` makes of the registry; decides again when another process was faster.

        Returns when every query frontend serves the result, so that who is answered can rely on it.

        Raises:
            StoreConflict: another process was faster ``ATTEMPTS`` times.
            ClipperError: what ``rule`` raises.
        """
        for _ in range(ATTEMPTS):
            with self._turns.take() as store, contextlib.suppress(StoreConflict):
                before = store.read()
                store.commit(before, rule(before))
                break
        else:
            raise StoreConflict(f"other changes came in between {ATTEMPTS} times and nothing was changed: try again")
        self._wait_for_frontends(before.revision + 1)

    def _wait_for_frontends(self, revision: int) -> None:
        deadline = time.monotonic() + FOLLOW_SECONDS
        while time.monotonic() < deadline:
            try:
                with self._turns.take() as store:
                    behind = [name for name, served in store.frontends().items() if served < revision]
            except (StoreError, Unavailable) as error:  # it went away after the change, which is made: that is told
                logger.warning("nobody knows who has taken up registry revision %d: %s", revision, error.cause)
                return
            if not behind:
                return
            time.sleep(_PAUSE)
        logger.warning("%s did not take up registry revision %d yet", ", ".join(behind), revision)
