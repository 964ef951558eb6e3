from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import msgspec
import pytest
import uvloop

from clipper.errors import ConfigError
from clipper.frontend.peers import PATIENCE, MetricsPeers
from clipper.metrics import Metrics
from clipper.snapshot import ProcessSnapshot, Snapshot, merge

SLACK = 1.5


@pytest.fixture
def folder():
    """A folder whose path is short enough for a Unix socket in it."""
    with tempfile.TemporaryDirectory(prefix="peers-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request) -> Callable[[Coroutine], object]:
    def in_loop(main):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main)

    return in_loop


def answers(count: int) -> Callable[[], Snapshot]:
    metrics = Metrics(lambda: 0.0)
    for _ in range(count):
        metrics.app("a").answered(0.1)
    return metrics.snapshot


def sockets_from(folder: Path, own: int, count: int = 3) -> str:
    return ",".join(str(folder / f"metrics-{index}.sock") for index in (own, *set(range(count)) - {own}))


@contextlib.asynccontextmanager
async def frontend(folder: Path, index: int, count: int = 3):
    peers = MetricsPeers(sockets_from(folder, index, count))
    await peers.start(answers(10**index))
    yield peers
    await peers.stop()


def listen(path: Path) -> socket.socket:
    """A socket that accepts connections, as far as the kernel does that, but never answers."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server


def ok_and_missing(snapshots: list[Snapshot]) -> tuple[int, int]:
    merged = merge(snapshots)
    return merged.apps["a"].ok if merged.apps else 0, merged.process.missing


def test_every_frontend_answers_for_all(folder, run):
    async def main():
        async with frontend(folder, 0) as zero, frontend(folder, 1) as one, frontend(folder, 2) as two:
            assert ok_and_missing(await zero.gather()) == (110, 0)
            assert ok_and_missing(await one.gather()) == (101, 0)
            assert ok_and_missing(await two.gather()) == (11, 0)

    run(main())


def test_scrapes_at_the_same_time_each_get_everything(folder, run):
    async def main():
        async with frontend(folder, 0) as zero, frontend(folder, 1), frontend(folder, 2):
            for snapshots in await asyncio.gather(*(zero.gather() for _ in range(20))):
                assert ok_and_missing(snapshots) == (110, 0)

    run(main())


def test_the_current_snapshot_is_told_not_that_of_the_start(folder, run):
    async def main():
        metrics = Metrics(lambda: 0.0)
        peer = MetricsPeers(sockets_from(folder, 1, 2))
        await peer.start(metrics.snapshot)
        metrics.app("a").answered(0.1)
        async with frontend(folder, 0, 2) as zero:
            assert ok_and_missing(await zero.gather()) == (1, 0)
        await peer.stop()

    run(main())


@pytest.mark.parametrize("sockets", ["", "{folder}/metrics-0.sock"])
def test_one_frontend_opens_nothing(folder, run, sockets):
    async def main():
        peers = MetricsPeers(sockets.format(folder=folder))
        await peers.start(answers(1))
        assert await peers.gather() == []
        assert list(folder.iterdir()) == []
        await peers.stop()

    run(main())


def test_the_socket_is_private_and_goes_at_the_stop(folder, run):
    async def main():
        async with frontend(folder, 0):
            assert stat.S_IMODE((folder / "metrics-0.sock").stat().st_mode) == 0o600
        assert list(folder.iterdir()) == []

    run(main())


def test_a_peer_that_is_not_there_is_counted_and_logged_once(folder, run, caplog):
    async def main():
        async with frontend(folder, 0) as zero, frontend(folder, 1):
            for _ in range(3):
                assert ok_and_missing(await zero.gather()) == (10, 1)

    with caplog.at_level(logging.WARNING):
        run(main())
    assert len(caplog.records) == 1
    assert str(folder / "metrics-2.sock") in caplog.text


def test_a_peer_that_comes_back_counts_again(folder, run, caplog):
    async def main():
        async with frontend(folder, 0, 2) as zero:
            for _ in range(2):
                assert ok_and_missing(await zero.gather()) == (0, 1)
                async with frontend(folder, 1, 2):
                    assert ok_and_missing(await zero.gather()) == (10, 0)

    with caplog.at_level(logging.WARNING):
        run(main())
    assert len(caplog.records) == 2


def test_peers_that_accept_but_never_answer_cost_one_patience_together(folder, run):
    async def main():
        with listen(folder / "metrics-1.sock"), listen(folder / "metrics-2.sock"):
            async with frontend(folder, 0) as zero:
                started = time.monotonic()
                assert ok_and_missing(await zero.gather()) == (0, 2)
                assert PATIENCE * 0.9 < time.monotonic() - started < PATIENCE + SLACK

    run(main())


def test_a_hung_peer_does_not_hide_the_others(folder, run):
    async def main():
        with listen(folder / "metrics-2.sock"):
            async with frontend(folder, 0) as zero, frontend(folder, 1):
                assert ok_and_missing(await zero.gather()) == (10, 1)

    run(main())


def framed(payload: bytes) -> bytes:
    return struct.pack("<I", len(payload)) + payload


NONSENSE = {
    "nothing": b"",
    "too long": struct.pack("<I", 2**32 - 1),
    "cut short": framed(msgspec.msgpack.encode(answers(5)()))[:-1],
    "of another version": framed(msgspec.msgpack.encode({"apps": ["of", "another", "version"]})),
    "not MessagePack": framed(b"\xc1\xc1\xc1"),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_a_peer_that_answers_nonsense_is_missing(folder, run, answer):
    async def main():
        async def talk(_, writer):
            writer.write(answer)
            await writer.drain()
            writer.close()

        async with frontend(folder, 0, 2) as zero:
            server = await asyncio.start_unix_server(talk, folder / "metrics-1.sock")
            assert ok_and_missing(await zero.gather()) == (0, 1)
            server.close()

    run(main())


def large() -> Snapshot:
    """More than the kernel's buffers hold."""
    return Snapshot(process=ProcessSnapshot(up=1, versions=frozenset({"1.0" * 1_000_000})))


def test_a_large_snapshot_comes_whole(folder, run):
    async def main():
        peer = MetricsPeers(sockets_from(folder, 1, 2))
        await peer.start(large)
        async with frontend(folder, 0, 2) as zero:
            assert await zero.gather() == [large()]
        await peer.stop()

    run(main())


def test_a_client_that_never_reads_is_let_go(folder, run):
    async def main():
        peers = MetricsPeers(sockets_from(folder, 0, 2))
        await peers.start(large)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "metrics-0.sock"))
            hung_up = select.poll()
            hung_up.register(client, select.POLLHUP)
            assert await asyncio.to_thread(hung_up.poll, (PATIENCE + SLACK) * 1000)
            received = 0
            while chunk := client.recv(1 << 20):
                received += len(chunk)
        assert 4 < received < len(msgspec.msgpack.encode(large()))
        await peers.stop()

    run(main())


def test_a_snapshot_that_fails_leaves_no_connection_behind(folder, run, caplog):
    async def main():
        def fail() -> Snapshot:
            raise RuntimeError("this gauge is broken")

        peer = MetricsPeers(sockets_from(folder, 1, 2))
        await peer.start(fail)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE + SLACK)
            client.connect(str(folder / "metrics-1.sock"))
            assert await asyncio.to_thread(client.recv, 1) == b""
        await peer.stop()

    run(main())
    assert "this gauge is broken" in caplog.text


PEER = """
import asyncio, sys, time
from clipper.frontend.peers import MetricsPeers
from clipper.metrics import Metrics

async def main():
    metrics = Metrics(time.monotonic)
    metrics.app("a").answered(0.1)
    await MetricsPeers(sys.argv[1]).start(metrics.snapshot)
    print("serving", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.contextmanager
def peer_process(sockets: str):
    """A peer in a process of its own, which is killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", PEER, sockets], stdout=subprocess.PIPE)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"serving\n"
            yield
        finally:
            process.kill()


def test_a_killed_process_is_missing_and_its_successor_takes_over_the_socket(folder):
    async def main():
        async with frontend(folder, 0, 2) as zero:
            for _ in range(2):
                with peer_process(sockets_from(folder, 1, 2)):
                    assert ok_and_missing(await zero.gather()) == (1, 0)
                assert (folder / "metrics-1.sock").exists()
                assert ok_and_missing(await zero.gather()) == (0, 1)

    asyncio.run(main())


@pytest.mark.parametrize("own", ["/nowhere/at/all/metrics-0.sock", "/tmp/" + "x" * 200])
def test_a_socket_that_cannot_be_made_is_a_clear_error(run, own):
    with pytest.raises(ConfigError, match="--metrics-sockets") as raised:
        run(MetricsPeers(f"{own},/tmp/other.sock").start(answers(1)))
    assert own in raised.value.cause
