"""Brings the containers that connect to this frontend together with the executor, and tells the store of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from itertools import count

from clipper import types
from clipper.execution.executor import Executor
from clipper.execution.replica import Replica
from clipper.rpc.listener import ContainerConnection, Refused
from clipper.rpc.wire import Hello, Outcomes, parse_input_type
from clipper.types import ModelVersion

log = logging.getLogger(__name__)


class ConnectedReplicas:
    """Implements ``clipper.rpc.listener.Containers``."""

    def __init__(self, executor: Executor, frontend: str, report: Callable[[list[types.Replica]], None]) -> None:
        """``report`` is called with all connected replicas after each change."""
        self._executor = executor
        self._frontend = frontend
        self._report = report
        self._connected: dict[ContainerConnection, tuple[ModelVersion, Replica]] = {}
        self._metrics_addresses: dict[ContainerConnection, str] = {}
        self._joined = asyncio.Event()

    async def reunite(self, expected: Sequence[types.Replica], patience: float) -> None:
        """Waits, at most ``patience`` seconds, until the containers of a predecessor have found this frontend."""
        wanted = {(each.model_name, each.model_version, each.replica_id) for each in expected}
        deadline = asyncio.get_running_loop().time() + patience
        while missing := wanted - {(r.model_name, r.model_version, r.replica_id) for r in self.records()}:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._joined.wait()
            except TimeoutError:
                log.warning("%d containers have not come back within %g s", len(missing), patience)
                return
            self._joined.clear()

    def admit(self, hello: Hello) -> None:
        version = ModelVersion(hello.model_name, hello.model_version)
        try:
            input_type = parse_input_type(hello.input_type).value
        except ValueError as error:
            raise Refused(str(error)) from None
        expected = self._executor.expected_input_type(version)
        if expected not in (None, input_type):
            raise Refused(f"{version} is registered with input type {expected}, this container takes {input_type}")
        if hello.replica_id in self._ids(version):
            raise Refused(f"replica {hello.replica_id} of {version} is already connected")

    def joined(self, connection: ContainerConnection, hello: Hello) -> None:
        version = ModelVersion(hello.model_name, hello.model_version)
        replica_id = hello.replica_id if hello.replica_id is not None else self._next_id(version)
        replica = Replica(replica_id, parse_input_type(hello.input_type).value, connection)
        self._connected[connection] = (version, replica)
        self._metrics_addresses[connection] = hello.metrics or ""
        self._executor.replica_joined(version, replica, time.monotonic())
        self._joined.set()
        self._report(self.records())

    def answered(self, connection: ContainerConnection, batch_id: int, outcomes: Outcomes, worked: float) -> bool:
        version, replica = self._connected[connection]
        return self._executor.batch_answered(version, replica, batch_id, outcomes, time.monotonic(), worked)

    def draining(self, connection: ContainerConnection) -> None:
        self._executor.replica_draining(self._connected[connection][1])

    def left(self, connection: ContainerConnection) -> None:
        version, replica = self._connected.pop(connection)
        del self._metrics_addresses[connection]
        self._executor.replica_left(version, replica, time.monotonic())
        self._report(self.records())

    def records(self) -> list[types.Replica]:
        return [
            types.Replica(
                model_name=version.name,
                model_version=version.version,
                replica_id=replica.replica_id,
                input_type=replica.input_type,
                frontend=self._frontend,
                metrics_address=self._metrics_addresses[connection],
            )
            for connection, (version, replica) in self._connected.items()
        ]

    def _ids(self, version: ModelVersion) -> set[int]:
        return {replica.replica_id for known, replica in self._connected.values() if known == version}

    def _next_id(self, version: ModelVersion) -> int:
        taken = self._ids(version)
        return next(each for each in count() if each not in taken)
