"""How long a query frontend's event loop stands still: the longest turns, in CPU time of its thread.

The clock on the wall would show what else the machine does; CPU time shows the frontend's own work between two looks
at its sockets. The frontend is the real one, in this process; client and container are processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event

import uvloop

from clipper.config import Config
from clipper.frontend.server import QueryFrontend
from clipper.rpc import wire
from clipper.store.sqlite import SqliteStore
from clipper.types import Application, Model, Registry

PATIENCE = 10.0
LONG_SECONDS = 0.0002
"""Turns below this are not noted."""


def longest(feed: Callable[[str], None], input_type: str) -> list[float]:
    """Seconds of the longest turns, the longest first, while ``feed(address)`` runs in a process of its own.

    It asks an application that is named after its input type; the container answers each input with its size.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            store=f"{folder}/clipper.db",
            query_port=_free_port(),
            rpc_port=_free_port(),
            rpc_socket=f"{folder}/rpc",
            cache_bytes=0,
        )
        _register(config.store, input_type)
        ready, watched = multiprocessing.Event(), multiprocessing.Event()
        container = _process(_serve, config.rpc_socket, input_type, ready)
        with container, _process(_feed, feed, f"127.0.0.1:{config.query_port}", watched) as client:
            return uvloop.run(_watch(config, ready, watched, client))


def connect(address: str) -> socket.socket:
    """A connection to a server that may not be up yet."""
    host, _, port = address.rpartition(":")
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=30)
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)


async def _watch(config: Config, ready: Event, watched: Event, client: multiprocessing.Process) -> list[float]:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    serving = loop.create_task(QueryFrontend(config, loop).run(stop))
    turns: list[float] = []
    began = time.thread_time()

    def turn() -> None:
        nonlocal began
        now = time.thread_time()
        if now - began > LONG_SECONDS:
            turns.append(now - began)
        began = time.thread_time()
        if not stop.is_set():
            loop.call_soon(turn)

    while not ready.is_set() and client.is_alive():
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)  # it opens its port
    began = time.thread_time()
    turn()
    watched.set()
    while client.is_alive():
        await asyncio.sleep(0.05)
    stop.set()
    await serving
    if client.exitcode:
        raise RuntimeError("the client failed: see its traceback above")
    return sorted(turns, reverse=True)


def _register(store_path: str, kind: str) -> None:
    store = SqliteStore(store_path)
    before = store.read()
    model = Model(name=kind, version="1", input_type=kind, registration=1)
    app = Application(name=kind, input_type=kind, default_output="-1.0", latency_slo_micros=5_000_000)
    after = Registry(
        applications={kind: app}, models={model.id: model}, current_versions={kind: "1"}, links={kind: (kind,)}
    )
    store.commit(before, after)
    store.close()


def _feed(feed: Callable[[str], None], address: str, watched: Event) -> None:
    assert watched.wait(PATIENCE), "no container came"
    feed(address)


def _serve(rpc_socket: str, kind: str, ready: Event) -> None:
    """A container; ends when the frontend hangs up."""
    give_up = time.monotonic() + PATIENCE
    connection = socket.socket(socket.AF_UNIX)
    while connection.connect_ex(rpc_socket):
        assert time.monotonic() < give_up, "no frontend"
        time.sleep(0.02)
    connection.sendall(wire.encode_hello(wire.Hello(kind, "1", kind, 0)))
    reader = wire.FrameReader()
    while received := connection.recv_into(reader.buffer()):
        frame = reader.advance(received)
        if frame is not None and frame.kind == wire.Kind.WELCOME:
            ready.set()
        elif frame is not None and frame.kind == wire.Kind.BATCH:
            outcomes = [wire.Outcome(True, b"%d" % length) for length in wire.decode_lengths(frame)]
            connection.sendall(wire.encode_outcomes(frame.batch_id, outcomes, 100))


@contextlib.contextmanager
def _process(run: Callable[..., None], *args: object) -> Iterator[multiprocessing.Process]:
    process = multiprocessing.Process(target=run, args=args, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
