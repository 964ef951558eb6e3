"""What every call of a ClipperConnection stands on: the manager, the frontends' client and the log."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from clipper_admin.exceptions import ClipperException, UnconnectedException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers.base import ContainerManager

if TYPE_CHECKING:
    from clipper_admin.client import Client


class Session:
    """One cluster, reached through its container manager; not connected until ``open``."""

    def __init__(self, container_manager: ContainerManager) -> None:
        self.cm = container_manager
        self.connected = False
        self.logger = ClusterLogger(
            logging.getLogger("clipper_admin.connection"), container_manager.cluster_identifier
        )
        self._client: Client | None = None

    @property
    def frontends(self) -> Client:
        """The client of both frontends; raises UnconnectedException before ``start_clipper`` or ``connect``."""
        if not self.connected or self._client is None:
            raise UnconnectedException()
        return self._client

    def _open(self, patience: float) -> None:
        """Connects to the frontends the manager knows, which have ``patience`` seconds to answer."""
        from clipper_admin.client import Client  # requests takes half of the import time we allow ourselves

        self._close()
        client = Client(self.cm.get_query_addr(), self.cm.get_admin_addr(), self.logger)
        try:
            wait_for(client, self.logger, patience)
        except ClipperException:
            client.close()
            raise
        self._client = client
        self.connected = True

    def _close(self) -> None:
        self.connected = False
        if self._client is not None:
            self._client.close()
            self._client = None


def wait_for(client: Client, log: ClusterLogger, patience: float, pause: float = 1.0) -> None:
    """Returns when both frontends answer; raises what they failed with once ``patience`` seconds are over."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return client.check()
        except ClipperException as error:
            if time.monotonic() + pause > deadline:
                raise
            log.warning("Clipper still initializing: \n %s, Retrying in %g seconds...", error, pause)
        time.sleep(pause)
