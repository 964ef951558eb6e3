"""What clients call the requests of the batch at hand, for the user's function to ask: ``clipper_admin.logs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final


class Current:
    """Of the queries that the function is called with now, in their order; empty where a client gave no id."""

    def __init__(self) -> None:
        self._ids: Sequence[str] = ()
        self._queries = 0

    def set(self, ids: Sequence[str], queries: int) -> None:
        """``ids``: none, or one for each of the ``queries``."""
        self._ids, self._queries = ids, queries

    def request_ids(self) -> list[str]:
        return list(self._ids) or [""] * self._queries


CURRENT: Final = Current()
"""A container works on one batch at a time."""
