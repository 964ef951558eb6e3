"""SIGTERM and SIGUSR1."""

import os
import signal

import pytest

from clipper.rpc import wire
from clipper.rpc.wire import Kind
from tests.clipper.container.conftest import wait_until


@pytest.fixture
def gate(tmp_path):
    """A FIFO: a model that opens it waits until the test does, too."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


def waiting_for(gate):
    path = str(gate)

    def function(xs):
        print("in the model")  # noqa: T201
        with open(path) as opened:
            opened.read()
        return ["done"] * len(xs)

    return function


def open_gate(gate):
    with open(gate, "w"):
        pass


def test_sigterm_without_work_ends_with_goodbyes(serve):
    container, peer = serve(lambda xs: ["1"] * len(xs))
    container.terminate()

    assert peer.receive().kind == Kind.GOODBYE
    peer.send(wire.encode_goodbye())
    assert peer.closed()
    assert container.exit_code() == 0


def test_batch_in_progress_and_those_before_the_frontends_goodbye_are_answered(serve, gate):
    container, peer = serve(waiting_for(gate))
    peer.send(wire.encode_batch(1, [b""], 0))
    container.wait_for("in the model")
    container.terminate()
    peer.send(wire.encode_batch(2, [b"", b""], 0))
    open_gate(gate)

    assert peer.outcomes(1) == [(True, b'"done"')]
    assert peer.receive().kind == Kind.GOODBYE
    peer.send(wire.encode_batch(3, [b""], 0) + wire.encode_goodbye())  # it crossed the goodbye on its way
    for batch_id in (2, 3):
        open_gate(gate)
        assert [each.data for each in peer.outcomes(batch_id)] == [b'"done"'] * (4 - batch_id)
    assert peer.closed()
    assert container.exit_code() == 0


def test_every_frontend_hears_goodbye_and_unreachable_ones_do_not_matter(listen, start, sockets):
    frontends = [listen(), listen()]
    container = start(lambda xs: xs, *(each.address for each in frontends), f"unix:{sockets}/nobody")
    peers = [each.accept() for each in frontends]
    for peer in peers:
        peer.welcome()
    container.wait_for(f"Connected to the frontend at {frontends[0].address}")
    container.wait_for(f"Connected to the frontend at {frontends[1].address}")
    container.terminate()
    for peer in peers:
        assert peer.receive().kind == Kind.GOODBYE
    peers[0].send(wire.encode_goodbye())
    assert peers[0].closed()
    assert container.process.poll() is None
    peers[1].close()

    assert container.exit_code() == 0


def test_frontend_that_never_says_goodbye_is_not_waited_for_longer_than_the_bound(serve):
    container, peer = serve(lambda xs: ["1"] * len(xs), patch="runtime.DRAIN_TIMEOUT = 0.2")
    container.terminate()
    assert peer.receive().kind == Kind.GOODBYE

    assert container.exit_code() == 0
    assert "did not say goodbye within 0.2 s" in container.log()


def test_model_that_does_not_come_back_is_ended_after_the_bound(serve, gate):
    container, peer = serve(waiting_for(gate), patch="runtime.DRAIN_TIMEOUT = 0.2")
    peer.send(wire.encode_batch(1, [b""], 0))
    container.wait_for("in the model")
    container.terminate()

    assert container.exit_code() == -signal.SIGALRM


def test_second_sigterm_ends_at_once(serve, gate):
    container, peer = serve(waiting_for(gate))
    peer.send(wire.encode_batch(1, [b""], 0))
    container.wait_for("in the model")
    container.terminate()
    wait_for_default_sigterm(container.process.pid)
    container.terminate()

    assert container.exit_code() == -signal.SIGTERM


def wait_for_default_sigterm(pid):
    """Until the first SIGTERM was taken note of: the process has no handler for it any more."""

    def caught():
        with open(f"/proc/{pid}/status") as status:
            mask = next(line for line in status if line.startswith("SigCgt")).split()[1]
        return bool(int(mask, 16) & 1 << signal.SIGTERM - 1)

    wait_until(lambda: not caught())


def test_sigterm_while_loading_ends_at_once(start, save, gate, listen):
    path = str(gate)

    class SlowToLoad:
        def __reduce__(self):
            return eval, (f"print('loading') or open({path!r}).read()",)

    folder = save(SlowToLoad())
    container = start(folder, listen().address)
    container.wait_for("\nloading\n")
    container.terminate()

    assert container.exit_code() == -signal.SIGTERM


def test_sigusr1_shows_where_the_model_is(serve, gate):
    container, peer = serve(waiting_for(gate))
    peer.send(wire.encode_batch(1, [b""], 0))
    container.wait_for("in the model")
    container.process.send_signal(signal.SIGUSR1)
    container.wait_for("in function\n")
    open_gate(gate)

    assert peer.outcomes() == [(True, b'"done"')]
