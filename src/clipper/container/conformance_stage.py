"""What a container is tried on: sockets that play frontends, and the command as a process. Every wait has an end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clipper.container.conformance_peer import Complaint, Peer
from clipper.rpc import wire
from clipper.rpc.wire import Frame, InputType, Kind, WireError

MODEL_NAME: Final = "conformance"
MODEL_VERSION: Final = "v1"
REPLICA_ID: Final = 3
_GLANCE: Final = 0.1
"""How often a wait for a connection looks whether the command is still there."""


class Frontend:
    """A listening socket: of a file, or of TCP on the loopback interface."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._port = 0
        self.listen()

    @property
    def address(self) -> str:
        return f"unix:{self._file}" if self._file else f"tcp:127.0.0.1:{self._port}"

    def listen(self) -> None:
        """At the same address each time."""
        self.socket = socket.socket(socket.AF_UNIX if self._file else socket.AF_INET)
        if self._file:
            self._file.unlink(missing_ok=True)
            self.socket.bind(str(self._file))
        else:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", self._port))
            self._port = self.socket.getsockname()[1]
        self.socket.listen()

    def close(self) -> None:
        self.socket.close()


@dataclass(frozen=True, slots=True)
class Trial:
    """What is asked of the runner: the command, where its output goes, how long to wait for anything."""

    command: Sequence[str]
    folder: Path
    patience: float
    tcp_only: bool

    @property
    def log(self) -> Path:
        return self.folder / "output"


class Stage:
    """One life of the command, for one input type, with one or more frontends."""

    def __init__(self, trial: Trial, input_type: InputType, frontends: int = 1) -> None:
        self.input_type = input_type
        self.patience = trial.patience
        self._trial = trial
        kinds = [number % 2 == 1 or trial.tcp_only for number in range(frontends)]
        self.frontends = [Frontend(None if tcp else trial.folder / f"f{place}") for place, tcp in enumerate(kinds)]
        self._peers: list[Peer | None] = [None] * frontends
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def has_connected(self) -> bool:
        return any(self._peers)

    def peer(self, frontend: int = 0) -> Peer:
        """The container's connection to a frontend, made and welcomed if there is none; the command runs then."""
        found = self._peers[frontend]
        if found is None or not found.open:
            found = self.accept(frontend)
            check_hello(found.expect_kind(Kind.HELLO, "HELLO as the first message"), self.input_type)
            found.send(wire.encode_welcome(), "WELCOME")
        return found

    def accept(self, frontend: int = 0) -> Peer:
        """A new connection, before its HELLO."""
        self._start()
        deadline = time.monotonic() + self.patience
        listening = self.frontends[frontend].socket
        what = f"the container to connect to {self.frontends[frontend].address}"
        while not select.select([listening], [], [], _GLANCE)[0]:
            if self._process is not None and self._process.poll() is not None:
                raise Complaint(what, f"the end of the command, with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise Complaint(what, f"no connection within {self.patience:g} s")
        made = Peer(listening.accept()[0], self.patience)
        self._peers[frontend] = made
        return made

    def terminate(self) -> None:
        """Sends SIGTERM, as whoever runs containers does to stop one."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def expect_exit(self) -> None:
        what = "the command to end with exit code 0 after SIGTERM"
        assert self._process is not None
        try:
            code = self._process.wait(self.patience)
        except subprocess.TimeoutExpired:
            raise Complaint(what, f"a command that still runs {self.patience:g} s later") from None
        if code != 0:
            raise Complaint(what, f"exit code {code}")

    def drop(self) -> None:
        """Closes the connections, so that the next check begins with a new one."""
        for each in self._peers:
            if each is not None:
                each.close()

    def close(self) -> None:
        """Ends the command and all it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.drop()
        for each in self.frontends:
            each.close()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        with self._trial.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._trial.command,
                env=os.environ | self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that what the command starts can be ended with it
            )

    def _environment(self) -> dict[str, str]:
        return {
            "CLIPPER_MODEL_NAME": MODEL_NAME,
            "CLIPPER_MODEL_VERSION": MODEL_VERSION,
            "CLIPPER_INPUT_TYPE": self.input_type.value,
            "CLIPPER_REPLICA_ID": str(REPLICA_ID),
            "CLIPPER_ADDRESS": ",".join(each.address for each in self.frontends),
        }


def check_hello(frame: Frame, input_type: InputType) -> None:
    """A ``Complaint`` unless this HELLO says what the environment said."""
    try:
        hello = wire.decode_hello(frame)
    except WireError as error:
        raise Complaint("HELLO as described", str(error)) from None
    found = (hello.model_name, hello.model_version, hello.input_type)
    wanted = (MODEL_NAME, MODEL_VERSION, input_type.value)
    if found != wanted or hello.replica_id not in (None, REPLICA_ID):
        raise Complaint(f"HELLO of {wanted}, replica {REPLICA_ID} or null", f"{found}, replica {hello.replica_id}")
