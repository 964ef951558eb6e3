"""What the servers ask of a store. SQLite is the embedded implementation, Redis that for several machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from clipper.types import Registry, Replica

LEASE_SECONDS = 15.0
"""How long a frontend's report holds. One that was killed and does not come back is forgotten after that."""


class Store(Protocol):
    """Durable state shared by the frontends of one cluster.

    Every method may block on I/O and raises ``StoreError`` when the store can't be reached or written (its cause
    names the file or the server and what to do, e.g. for a full disk); nothing on the data path calls one. An
    instance belongs to one thread at a time.
    """

    def read(self) -> Registry:
        """One consistent view of everything registered."""
        ...

    def commit(self, before: Registry, after: Registry) -> None:
        """Makes ``after`` durable if the store still is at ``before.revision``, and raises the revision by one.

        Raises:
            StoreConflict: somebody committed since ``before`` was read; read and decide again.
        """
        ...

    def changed(self) -> bool:
        """Whether anybody has committed a registry since this instance last read one. Cheap enough for 20 Hz."""
        ...

    def reserve_query_ids(self, count: int) -> int:
        """The first of ``count`` query ids that nobody had or will have."""
        ...

    def report(self, frontend: str, revision: int, replicas: Sequence[Replica], metrics_address: str = "") -> None:
        """Replaces what ``frontend`` had told of itself: the registry it serves, the containers connected to it.

        ``metrics_address`` is the ``host:port`` at which its metrics are; empty if they are not to be asked for.
        To be said again within ``LEASE_SECONDS``.
        """
        ...

    def frontends(self) -> dict[str, int]:
        """The frontends whose report holds, with the revision each serves."""
        ...

    def metrics_addresses(self) -> dict[str, str]:
        """Where the metrics of these frontends are, by their names in order; without those that told no address."""
        ...

    def replicas(self) -> list[Replica]:
        """What the reports that hold say, ordered by model, version, replica id and frontend."""
        ...

    def close(self) -> None: ...
