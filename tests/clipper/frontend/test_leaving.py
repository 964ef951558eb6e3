"""Clients that leave before their answers, over real sockets: nothing is left of them. (LitServe #452.)"""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from clipper.execution.flight import Flight
from clipper.execution.model import ServedModel
from clipper.frontend.connection import Connection
from clipper.frontend.exchange import Exchange
from clipper.query import Query
from clipper.rpc.wire import Outcomes
from clipper.types import ModelVersion, Registry
from tests.clipper.frontend.http_harness import run, until
from tests.clipper.frontend.test_api import House, at_home, output, post, registry

DOUBLES = ModelVersion("doubles", "1")
CROWDS, CLIENTS, QUERIES = 8, 125, 10
AT_ONCE = struct.pack("ii", 1, 0)
KINDS = (Exchange, Query, Flight, Connection)


def patient() -> Registry:
    """The applications wait for a minute."""
    known = registry()
    apps = {
        name: msgspec.structs.replace(app, latency_slo_micros=60_000_000) for name, app in known.applications.items()
    }
    return msgspec.structs.replace(known, applications=apps)


def come(port: int, crowd: int) -> list[socket.socket]:
    """Clients that each ask several times; every other of their inputs is one that all ask."""
    clients = []
    for number in range(CLIENTS):
        first = (crowd * CLIENTS + number) * QUERIES
        inputs = [0 if each % 2 else first + each for each in range(QUERIES)]
        clients.append(socket.create_connection(("127.0.0.1", port), timeout=10))
        clients[-1].sendall(b"".join(post("/doubles/predict", b'{"input":[%d]}' % each) for each in inputs))
    return clients


def leave(clients: Sequence[socket.socket]) -> None:
    """As killed clients do: one that only ends its sending still gets its answer."""
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        client.close()


def alive() -> Counter[type]:
    gc.collect()
    return Counter(type(each) for each in gc.get_objects() if isinstance(each, KINDS))


class Timers:
    """Counts what the processor and the executor have asked the loop for and have not been called for yet."""

    def __init__(self, house: House) -> None:
        self.set = 0
        self._call_at = house.loop.call_at
        house.call_at = self.call_at  # type: ignore[method-assign]

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        def ring() -> None:
            self.set -= 1
            callback()

        self.set += 1
        self._call_at(when, ring)


def answer_all(house: House, model: ServedModel) -> None:
    for replica in model.replicas:
        for batch_id, batch in list(replica.outstanding.items()):
            outcomes = Outcomes([b"8"] * len(batch.flights))
            assert house.executor.batch_answered(DOUBLES, replica, batch_id, outcomes, house.time())


def test_nothing_is_left_of_ten_thousand_queries_whose_clients_leave() -> None:
    """Meanwhile the replica is busy with the query of one that stays."""

    async def scenario() -> None:
        async with at_home() as (house, served, client):
            house.processor.apply(patient())
            house.api.follow_catalog()
            timers, model = Timers(house), house.executor._models[DOUBLES]
            house.models["doubles"].holds = True
            await client.send(post("/doubles/predict", b'{"input":[-1]}'))
            await until(lambda: len(house.models["doubles"].inputs) == 1)
            before = alive()
            for crowd in range(CROWDS):
                clients = await asyncio.to_thread(come, served.port, crowd)
                await until(lambda: house.processor.open_queries() == CLIENTS * QUERIES + 1)
                await asyncio.to_thread(leave, clients)
                await until(lambda: house.processor.open_queries() == 1)
            await until(lambda: served.http.connections == 1)
            assert house.metrics.app("doubles").cancelled == CROWDS * CLIENTS * QUERIES == 10_000
            assert model.queue.waiting == 0
            in_flight = sum(len(batch.flights) for each in model.replicas for batch in each.outstanding.values())
            assert len(model.flights) == in_flight <= 2, "what the replica was sent before its client left"
            assert timers.set == 1, "for the deadline of the one that stays"
            after = alive()
            assert after[Flight] <= in_flight + len(model.queue._line) < CLIENTS
            assert [after[each] for each in (Exchange, Query)] == [before[each] for each in (Exchange, Query)]
            assert after[Connection] == before[Connection]
            answer_all(house, model)
            assert output(await client.response()) == 8
            assert len(model.flights) == house.processor.open_queries() == 0

    run(scenario())
