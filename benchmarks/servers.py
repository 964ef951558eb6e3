"""Starts a system's server, asks it until it answers rightly, and ends everything it started."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks.environments import ROOT, CannotRun, interpreter
from benchmarks.peers import System
from benchmarks.workloads import WORKLOADS, Workload, models_folder

STOP_SECONDS = 20
TOKEN = "BENCH_SERVER"
"""The variable that marks every process of a server, however it was started."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server that has answered rightly."""

    system: System
    url: str
    body: bytes
    python: Path


@contextlib.contextmanager
def serving(system: System, name: str) -> Iterator[Server]:
    """The system with this workload, from its first right answer on; everything of it is ended afterwards.

    Raises:
        CannotRun: it could not be installed or started, or answered wrongly; with the tail of its log.
    """
    workload, token = WORKLOADS[name], uuid.uuid4().hex
    python = interpreter(system.program.rpartition(".")[2], system.needs(name))
    if workload.requirements:
        train()
    with tempfile.TemporaryFile("w+b") as log, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        port = _free_port()
        process = subprocess.Popen(
            [str(python), "-m", system.program, str(port)],
            cwd=ROOT,
            env=_environ(system, name, port, token, folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}{system.path}"
            server = Server(system, url, system.dialect.encode(workload.sample()), python)
            _wait(server, workload, process, log)
            yield server
        finally:
            _end(process, token)


def end_all_on_sigterm() -> None:
    """Lets a driver that is told to end leave by its context managers, which end the servers."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def train() -> None:
    """Makes the models of the digits if they are not there yet."""
    if not (models_folder() / "labels.json").exists():
        python = interpreter("digits", WORKLOADS["conv-net"].requirements)
        ran = subprocess.run(
            [str(python), "-m", "benchmarks.digits"], cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=600
        )
        if ran.returncode:
            raise CannotRun(f"the models could not be trained: {ran.stderr[-1000:]}")


def expected_output(name: str) -> Any:
    """What a right answer to the workload's sample is."""
    workload = WORKLOADS[name]
    if workload.requirements:
        return json.loads((models_folder() / "labels.json").read_text())[name]
    sample = workload.decode(workload.sample())
    return workload.load()([sample])[0]


def _environ(system: System, name: str, port: int, token: str, folder: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONHOME")}
    own = {"BENCH_PORT": str(port), "BENCH_WORKLOAD": name, TOKEN: token, "TMPDIR": folder, "PYTHONPATH": str(ROOT)}
    return {**kept, "OMP_NUM_THREADS": "1", **system.variables, **own}


def _wait(server: Server, workload: Workload, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    expected = expected_output(workload.name) if server.system.checked else None
    give_up, reason = time.monotonic() + server.system.start_seconds, "nobody asked"
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise CannotRun(f"it ended with {process.returncode} while starting; {_tail(log)}")
        try:
            answer = _ask(server)
            if not server.system.checked or workload.is_right(server.system.dialect.decode(answer), expected):
                return
            reason = f"it answers {answer[:200]!r}, where the output should be {expected!r}"
        except urllib.error.HTTPError as error:
            reason = f"status {error.code}: {error.read(300)!r}"
        except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
            reason = f"{type(error).__name__}: {error}"
        time.sleep(0.1)
    raise CannotRun(f"no right answer in {server.system.start_seconds:.0f} s ({reason}); {_tail(log)}")


def _ask(server: Server) -> bytes:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url, server.body, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


def _tail(log: IO[bytes]) -> str:
    """The last lines of the log, for an error's text."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - 1500))
    lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return "its log ends: " + " | ".join(lines[-8:]) if lines else "its log is empty"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes], token: str) -> None:
    """Asks the program to stop; what is left of all it started, in whatever session, is killed."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    left = [each for each in psutil.process_iter() if _is_marked(each, token)]
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(left, STOP_SECONDS)
    process.wait(STOP_SECONDS)


def _is_marked(process: psutil.Process, token: str) -> bool:
    try:
        return process.environ().get(TOKEN) == token
    except psutil.Error:
        return False
