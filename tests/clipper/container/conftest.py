"""Real containers: the zip application as a process, and a minimal frontend on a blocking socket."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import pytest

from clipper.rpc import wire
from clipper.rpc.wire import Frame, FrameReader, Hello, Kind, Outcome
from clipper_admin.packaging import write_runtime
from tests.outcomes import apart

PATIENCE = 30.0
IMPORTS = "from clipper.container import connection, runtime; from clipper.container.__main__ import main"


class Peer:
    """One accepted connection, as a frontend sees it. Every wait is bounded by ``PATIENCE``."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        self.socket = connection
        self._reader = FrameReader()

    def receive(self) -> Frame:
        while True:
            received = self.socket.recv_into(self._reader.buffer())
            if not received:
                raise EOFError
            frame = self._reader.advance(received)
            if frame is not None:
                return frame

    def send(self, message: bytes) -> None:
        self.socket.sendall(message)

    def welcome(self) -> Hello:
        hello = wire.decode_hello(self.receive())
        self.send(wire.encode_welcome())
        return hello

    def outcomes(self, batch_id: int = 1) -> list[Outcome]:
        frame = self.receive()
        assert (frame.kind, frame.batch_id) == (Kind.OUTCOMES, batch_id)
        return apart(wire.decode_outcomes(frame))

    def ask(self, *inputs: bytes, budget_micros: int = 0) -> list[Outcome]:
        self.send(wire.encode_batch(1, inputs, budget_micros))
        return self.outcomes()

    def closed(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:  # it had not read everything
            return True

    def close(self) -> None:
        self.socket.close()


class Frontend:
    """Listens on a Unix socket or on TCP of the loopback interface."""

    def __init__(self, path: Path | None = None) -> None:
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(str(path) if path else ("127.0.0.1", 0))
        self.listener.listen()
        self.listener.settimeout(PATIENCE)
        self.peers: list[Peer] = []
        self.address = f"unix:{path}" if path else f"tcp:127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self) -> Peer:
        connection, _ = self.listener.accept()
        self.peers.append(Peer(connection))
        return self.peers[-1]

    def close(self) -> None:
        for each in (*self.peers, self.listener):
            each.close()


class Container:
    """A container process, with its log so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def log(self) -> str:
        return self._log.read_text()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        return self.process.wait(PATIENCE)

    def wait_for(self, text: str) -> None:
        """Until the log has ``text``."""
        wait_until(lambda: text in self.log(), lambda: f"{text!r} is not in the log:\n{self.log()}")


def wait_until(condition, complaint=lambda: "the condition did not come true"):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.005)


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runtime(tmp_path_factory.mktemp("runtime") / "clipper-container.pyz")


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder whose path is short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="ct") as folder:
        yield Path(folder)


@pytest.fixture
def listen(sockets):
    """``listen()`` on a Unix socket, ``listen("tcp")`` on TCP, ``listen(path=...)`` on a socket of this path."""
    frontends = []

    def make(kind="unix", path=None):
        path = None if kind == "tcp" else path or sockets / f"frontend-{len(frontends)}"
        frontends.append(Frontend(path))
        return frontends[-1]

    yield make
    for each in frontends:
        each.close()


@pytest.fixture
def save(tmp_path):
    """Saves a function as a model directory."""

    def save_function(function):
        folder = tmp_path / "model"
        folder.mkdir(exist_ok=True)
        (folder / "func.pkl").write_bytes(cloudpickle.dumps(function))
        return folder

    return save_function


@pytest.fixture
def environment():
    return {"PATH": os.environ["PATH"], "CLIPPER_MODEL_NAME": "sum", "CLIPPER_MODEL_VERSION": "1"}


@pytest.fixture
def start(runtime, tmp_path, save, environment):
    """``start(model directory or function, addresses, **environment)``: a container process, killed at the end.

    ``patch`` is a statement about its ``runtime`` and ``connection`` modules, to shorten what takes long.
    """
    started = []

    def start_container(model, *addresses, input_type="doubles", patch="", **more):
        settings = environment | {
            "CLIPPER_MODEL_PATH": str(save(model) if callable(model) else model),
            "CLIPPER_INPUT_TYPE": input_type,
            "CLIPPER_ADDRESS": ",".join(addresses),
        }
        patched = f"import sys; sys.path.insert(0, {str(runtime)!r}); {IMPORTS}; {patch}; sys.exit(main())"
        log = tmp_path / f"log-{len(started)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *(["-c", patched] if patch else [str(runtime)])],
                env={name: value for name, value in (settings | more).items() if value is not None},
                stdin=subprocess.PIPE,  # nobody writes to it, as under a supervisor
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        return Container(process, log)

    yield start_container
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def serve(start, listen):
    """A container for a function, connected to one frontend: the container and the frontend's end of it."""

    def serve_function(function, input_type="doubles", kind="unix", **more):
        frontend = listen(kind)
        container = start(function, frontend.address, input_type=input_type, **more)
        peer = frontend.accept()
        peer.welcome()
        return container, peer

    return serve_function
