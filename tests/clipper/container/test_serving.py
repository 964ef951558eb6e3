"""Containers as processes: what a frontend gets for what it sends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clipper.rpc import wire
from clipper.rpc.wire import Hello, Kind
from tests.clipper.container.conftest import wait_until


def doubles(*numbers):
    return np.array(numbers, float).tobytes()


def add():
    return lambda xs: [str(sum(x)) for x in xs]


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_hello_and_sums(listen, start, kind):
    frontend = listen(kind)
    container = start(add(), frontend.address, input_type=" D ", CLIPPER_REPLICA_ID="4")
    peer = frontend.accept()

    assert peer.welcome() == Hello("sum", "1", "doubles", replica_id=4, pid=container.process.pid)
    assert peer.ask(doubles(1.1, 2.2, 3.3)) == [(True, b"6.6")]
    assert peer.ask(doubles(1), doubles(2, 3), doubles()) == [(True, b"1.0"), (True, b"5.0"), (True, b"0")]
    assert peer.ask() == []
    assert "Serving predictions for doubles input type." in container.log()


def test_strings(serve):
    _, peer = serve(lambda xs: [x.upper() for x in xs], "strings")

    assert peer.ask("é".encode(), b"", b"5") == [(True, '"É"'.encode()), (True, b'""'), (True, b"5")]


def test_bytes_are_unsigned_and_writable(serve):
    def function(xs):
        xs[0] += 1
        return [f"{x.dtype} {x.tolist()}" for x in xs]

    _, peer = serve(function, "bytes")

    assert peer.ask(b"\xfe\x00", b"\x07\x08") == [(True, b'"uint8 [255, 1]"'), (True, b'"uint8 [7, 8]"')]


def test_exception_in_the_middle_fails_its_query_alone_and_is_in_the_log(serve):
    def function(xs):
        return [1 / x[0] if x[0] != 3 else int("three") for x in xs]

    container, peer = serve(function, "floats")
    batch = [np.array([each], np.float32).tobytes() for each in (1, 2, 3, 4)]

    assert peer.ask(*batch) == [
        (True, b"1.0"),
        (True, b"0.5"),
        (False, b"ValueError: invalid literal for int() with base 10: 'three'"),
        (True, b"0.25"),
    ]
    container.wait_for("ValueError: invalid literal")
    assert peer.ask(batch[1]) == [(True, b"0.5")]


def test_wrong_outputs_are_errors_and_the_container_lives_on(serve):
    def function(xs):
        answers = {0: ["one", "too many"], 1: "text", 2: [None], 3: [float("nan")], 4: ["fine"]}
        return answers[int(xs[0][0])]

    _, peer = serve(function, "bytes")
    results = [peer.ask(bytes([each]))[0] for each in range(5)]

    assert results[0] == (False, b"Expected model to return 1 outputs, found 2 outputs")
    assert results[1].data.startswith(b"Model did not return a list: it returned str")
    assert results[2].data.startswith(b"the model returned None for this query")
    assert results[3].data.startswith(b"the model returned nan")
    assert results[4] == (True, b'"fine"')


def test_sys_exit_is_an_error_and_the_container_lives_on(serve):
    def function(xs):
        import sys

        return [sys.exit("enough") if x[0] == 0 else "ok" for x in xs]

    _, peer = serve(function, "bytes")

    assert peer.ask(b"\0", b"\1") == [(False, b"SystemExit: enough"), (True, b'"ok"')]


def test_what_the_model_prints_is_in_the_log_at_once(serve):
    container, peer = serve(lambda xs: [print("seen", x) for x in xs] and xs, "strings")  # noqa: T201
    peer.ask(b"this")

    assert "seen this\n" in container.log()


def test_large_batches_both_ways_at_once_do_not_block(serve):
    _, peer = serve(lambda xs: [x.tobytes().decode() for x in xs], "bytes")
    batch = [b"a" * 1_000_000] * 8
    for batch_id in (1, 2):  # nobody reads outcomes until both are sent
        peer.send(wire.encode_batch(batch_id, batch, 0))

    for batch_id in (1, 2):
        assert peer.outcomes(batch_id) == [(True, b'"' + batch[0] + b'"')] * 8


def test_frontend_that_does_not_read_does_not_stop_another(listen, start):
    stuck, fine = listen(), listen()
    start(lambda xs: [x.tobytes().decode() for x in xs], stuck.address, fine.address, input_type="bytes")
    peers = [each.accept() for each in (stuck, fine)]
    for peer in peers:
        peer.welcome()
    for batch_id in (1, 2):
        peers[0].send(wire.encode_batch(batch_id, [b"a" * 4_000_000], 0))

    assert peers[1].ask(b"b") == [(True, b'"b"')]
    assert [len(peers[0].outcomes(batch_id)) for batch_id in (1, 2)] == [1, 1]


def test_several_frontends_are_served_at_once(listen, start):
    frontends = [listen(), listen("tcp"), listen()]
    start(add(), *(each.address for each in frontends))
    peers = [each.accept() for each in frontends]
    for peer in peers:
        peer.welcome()
    for number, peer in enumerate(peers):
        peer.send(wire.encode_batch(1, [doubles(number)], 0))

    assert [peer.outcomes() for peer in peers] == [[(True, b"0.0")], [(True, b"1.0")], [(True, b"2.0")]]


def test_restarted_frontend_is_found_again(listen, start, sockets):
    frontend, other = listen(path=sockets / "f"), listen()
    container = start(add(), frontend.address, other.address)
    kept = other.accept()
    kept.welcome()
    frontend.accept().welcome()
    frontend.close()
    os.unlink(sockets / "f")
    container.wait_for("Lost the frontend at unix:")
    assert kept.ask(doubles(1)) == [(True, b"1.0")]

    peer = listen(path=sockets / "f").accept()
    peer.welcome()
    assert peer.ask(doubles(2)) == [(True, b"2.0")]
    assert kept.ask(doubles(3)) == [(True, b"3.0")]
    container.wait_for("Connected to the frontend")
    assert container.log().count("Lost the frontend") == 1
    assert "Can't reach" not in container.log()


def test_frontend_that_starts_late_is_awaited(listen, start, sockets):
    container = start(add(), f"unix:{sockets}/late")
    container.wait_for(f"Can't reach the frontend at unix:{sockets}/late: No such file or directory")
    peer = listen(path=sockets / "late").accept()

    peer.welcome()
    assert peer.ask(doubles(2)) == [(True, b"2.0")]


def test_frontend_that_said_goodbye_gets_its_answers_and_is_asked_again(serve, listen, start):
    frontend = listen()
    container = start(add(), frontend.address)
    peer = frontend.accept()
    peer.welcome()
    peer.send(wire.encode_batch(1, [doubles(1)], 0) + wire.encode_goodbye())

    assert peer.outcomes() == [(True, b"1.0")]
    assert peer.closed()
    frontend.accept().welcome()
    container.wait_for("it said goodbye")


@pytest.mark.parametrize("welcomed", [False, True])
def test_refusal_is_logged_and_the_container_asks_again(listen, start, welcomed):
    frontend = listen()
    container = start(add(), frontend.address, patch="connection.REFUSED_RETRY = 0.1")
    for _ in range(3):
        peer = frontend.accept()
        assert peer.receive().kind == Kind.HELLO
        if welcomed:
            peer.send(wire.encode_welcome())
        peer.send(wire.encode_refused("sum:1 is not registered"))
        assert peer.closed()
    peer = frontend.accept()
    peer.welcome()

    assert peer.ask(doubles(1)) == [(True, b"1.0")]
    assert "refused this model: sum:1 is not registered; asking every 0.1 s" in container.log()
    assert welcomed or container.log().count("refused this model") == 1


@pytest.mark.parametrize(
    "nonsense",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", wire.encode_frame(9), wire.encode_frame(Kind.BATCH, count=5)],
    ids=["http", "unknown kind", "malformed batch"],
)
def test_frontend_that_breaks_the_protocol_is_left_and_asked_again(listen, start, nonsense):
    frontend = listen()
    container = start(add(), frontend.address)
    peer = frontend.accept()
    peer.welcome()
    peer.send(nonsense)

    assert peer.closed()
    peer = frontend.accept()
    peer.welcome()
    assert peer.ask(doubles(1)) == [(True, b"1.0")]
    container.wait_for("Lost the frontend")


def test_dead_container_is_seen_though_its_model_forked(serve):
    def function(xs):
        import os
        import time

        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        return [child]

    container, peer = serve(function)
    child = int(peer.ask(doubles(1))[0].data)
    try:
        container.process.kill()
        assert peer.closed()
    finally:
        os.kill(child, signal.SIGTERM)  # which the container's handler must not swallow there


def test_model_that_forks_a_pool_can_end_it(serve):
    def function(xs):
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(1) as pool:  # leaving it sends SIGTERM and waits
            return pool.map(str, [x[0] for x in xs])

    _, peer = serve(function)

    assert peer.ask(doubles(1), doubles(2)) == [(True, b"1.0"), (True, b"2.0")]


def test_idle_container_does_not_wake(serve):
    container, peer = serve(add())
    peer.ask(doubles(1))
    wait_until(lambda: state(container)["State"].startswith("S"))
    before = state(container)["voluntary_ctxt_switches"]
    peer.socket.settimeout(1.0)
    with pytest.raises(TimeoutError):
        peer.receive()

    assert int(state(container)["voluntary_ctxt_switches"]) - int(before) <= 1


def state(container):
    status = Path(f"/proc/{container.process.pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)


def test_container_dies_with_its_parent(runtime, environment, save, listen):
    frontend = listen()
    settings = environment | {
        "CLIPPER_MODEL_PATH": str(save(add())),
        "CLIPPER_ADDRESS": frontend.address,
        "CLIPPER_DIE_WITH_PARENT": "1",
    }
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, {str(runtime)!r}]); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", code], env=settings, stderr=subprocess.DEVNULL)
    peer = frontend.accept()
    peer.welcome()
    parent.kill()
    parent.wait()

    assert peer.receive().kind == Kind.GOODBYE  # as on any SIGTERM
    peer.send(wire.encode_goodbye())
    assert peer.closed()
