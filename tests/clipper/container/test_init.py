"""Containers as the first process of a namespace of their own, where signals without a handler have no effect."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from clipper.rpc.wire import Kind, encode_batch, encode_goodbye
from tests.clipper.container.conftest import Container, wait_until
from tests.clipper.container.test_loading import Calls
from tests.clipper.container.test_stopping import wait_for_default_sigterm, waiting_for

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture(scope="session")
def _namespaces():
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no process namespace can be made here: {tried.stderr.strip()}")


class First(Container):
    """``terminate`` goes to process 1 of the namespace, as a signal from outside."""

    @property
    def pid(self):
        wait_until(lambda: psutil.Process(self.process.pid).children())
        (first,) = psutil.Process(self.process.pid).children()
        return first.pid

    def terminate(self):
        os.kill(self.pid, signal.SIGTERM)


@pytest.fixture
def start_first(_namespaces, runtime, tmp_path, save, environment):
    started = []

    def start(model, address="unix:/nowhere", **more):
        folder = save(model)
        for name, value in more.items():
            (folder / name).write_text(value)
        settings = environment | {"CLIPPER_MODEL_PATH": str(folder), "CLIPPER_ADDRESS": address}
        log = tmp_path / "log"
        with log.open("wb") as output:
            command = [*UNSHARE, sys.executable, str(runtime)]
            started.append(subprocess.Popen(command, env=settings, stdout=output, stderr=output))
        return First(started[-1], log)

    yield start
    for process in started:
        process.kill()
        process.wait(30)


@pytest.mark.parametrize(
    "load",
    ["open({gate!r}).read()", "import re; re.match('(a*)*b', 'a' * 60)"],
    ids=["a system call", "code that never looks up"],
)
def test_sigterm_while_loading_ends_at_once(start_first, tmp_path, load):
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    container = start_first(Calls(exec, f"print('loading'); {load.format(gate=gate)}"))
    container.wait_for("\nloading\n")
    container.terminate()
    assert container.exit_code() == 128 + signal.SIGTERM


def test_a_model_that_can_not_be_loaded_ends_with_its_own_code(start_first):
    container = start_first(Calls(exec, "raise ValueError('no good')"))
    assert container.exit_code() == 1
    assert "ValueError: no good" in container.log()


def test_sigterm_while_serving_says_goodbye(start_first, listen):
    frontend = listen()
    container = start_first(lambda xs: ["1"] * len(xs), frontend.address)
    peer = frontend.accept()
    peer.welcome()
    assert peer.ask(b"") == [(True, b"1")]
    container.terminate()
    assert peer.receive().kind == Kind.GOODBYE
    peer.send(encode_goodbye())
    assert container.exit_code() == 0


def test_the_second_sigterm_ends_at_once(start_first, listen, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    frontend = listen()
    container = start_first(waiting_for(gate), frontend.address)
    peer = frontend.accept()
    peer.welcome()
    peer.send(encode_batch(1, [b""], 0))
    container.wait_for("in the model")
    container.terminate()
    (second,) = psutil.Process(container.pid).children()
    wait_for_default_sigterm(second.pid)
    container.terminate()
    assert container.exit_code() == 128 + signal.SIGTERM


def test_a_command_of_another_language_is_ended_too(start_first):
    """R and others have no handler of their own while they load, and are never process 1."""
    note = json.dumps({"command": ["sh", "-c", "echo I am $$; exec sleep 1000"]})
    container = start_first(None, **{"model.json": note})
    container.wait_for("I am 2\n")
    container.terminate()
    assert container.exit_code() == 128 + signal.SIGTERM


def test_orphans_are_buried(start_first, listen):
    def function(xs):
        import os
        import subprocess

        orphan = int(subprocess.check_output("sleep 0.01 >/dev/null 2>&1 & echo $!", shell=True))
        while os.path.exists(f"/proc/{orphan}"):  # a zombie would stay
            pass
        return ["gone"]

    frontend = listen()
    start_first(function, frontend.address)
    peer = frontend.accept()
    peer.welcome()
    assert peer.ask(b"") == [(True, b'"gone"')]
