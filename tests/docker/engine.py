"""A Docker engine for the tests: ``python -m tests.docker.engine start|stop|status``.

An engine that answers already is used, and never stopped. Else ``dockerd`` is started by hand, since a machine of CI
has no init system that would: its images are kept in the cache folder, its socket is the usual one, so that every
client finds it.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.docker.cache import cache_folder

START_SECONDS = 60
STOP_SECONDS = 40
EXEC_ROOT = Path("/run/clipper-test-docker")
"""Short, as Unix sockets are made in it, and gone with the next boot."""


class EngineError(Exception):
    """The engine can't be started or stopped; the text says what to do."""


def socket_path() -> Path:
    """Of the engine that ``docker`` and its SDK would use.

    Raises:
        EngineError: that engine is on another machine.
    """
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not host.startswith("unix://"):
        raise EngineError(f"DOCKER_HOST is {host}: the tests need an engine on this machine, unset it")
    return Path(host.removeprefix("unix://"))


def answers() -> bool:
    """Whether an engine is there."""
    connection = http.client.HTTPConnection("docker", timeout=2)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(2)
    try:
        connection.sock.connect(str(socket_path()))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def started_pid() -> int | None:
    """The process of the engine that ``start`` has started, if it is still there."""
    try:
        pid = int(_pid_file().read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if f"--data-root={_data_root()}".encode() in command else None


def start() -> str:
    """Starts an engine unless one answers; says which one there is.

    Raises:
        EngineError: none can be started here.
    """
    if answers():
        return status()
    program = _find_program()
    with _log_file().open("wb") as log:
        process = subprocess.Popen(
            [program, *_flags()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    if not _wait(lambda: answers() or process.poll() is not None, START_SECONDS) or not answers():
        ended = process.poll()
        problem = f"did not answer within {START_SECONDS} s" if ended is None else f"ended with status {ended}"
        process.terminate()
        raise EngineError(f"dockerd {problem}; the end of {_log_file()}:\n{_log_tail()}")
    return status()


def stop() -> str:
    """Stops the engine that ``start`` has started, and its containers; leaves any other alone.

    Raises:
        EngineError: it had to be killed.
    """
    pid = started_pid()
    if pid is None:
        return "No engine was started here, none is stopped"
    os.kill(pid, signal.SIGTERM)
    if not _wait(lambda: started_pid() is None or _is_zombie(pid), STOP_SECONDS):
        os.kill(pid, signal.SIGKILL)
        raise EngineError(f"dockerd ({pid}) was killed, as it did not end within {STOP_SECONDS} s:\n{_log_tail()}")
    _pid_file().unlink(missing_ok=True)
    return f"Stopped dockerd ({pid}); its images stay in {_data_root()}"


def status() -> str:
    """One line for people."""
    if not answers():
        return f"No engine answers at {socket_path()}"
    pid = started_pid()
    if pid is None:
        return f"An engine that was not started here answers at {socket_path()}"
    return f"dockerd ({pid}) answers at {socket_path()}, keeps its data in {_data_root()}, logs to {_log_file()}"


def _find_program() -> str:
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise EngineError("dockerd is not installed: apt-get install docker.io")
    if os.geteuid() != 0:
        raise EngineError("dockerd is to be started by root: start Docker on this machine, or run this as root")
    return program


def _flags() -> list[str]:
    return [
        f"--host=unix://{socket_path()}",
        f"--data-root={_data_root()}",
        f"--exec-root={EXEC_ROOT}",
        f"--pidfile={_pid_file()}",
    ]


def _data_root() -> Path:
    return cache_folder() / "docker"


def _pid_file() -> Path:
    return cache_folder() / "dockerd.pid"


def _log_file() -> Path:
    return cache_folder() / "dockerd.log"


def _log_tail() -> str:
    return "\n".join(_log_file().read_text(errors="replace").splitlines()[-20:])


def _is_zombie(pid: int) -> bool:
    """Ended, and not yet waited for by whoever has inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


def main() -> int:
    actions = {"start": start, "stop": stop, "status": status}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        sys.stderr.write("usage: python -m tests.docker.engine start|stop|status\n")
        return 2
    try:
        sys.stdout.write(actions[sys.argv[1]]() + "\n")
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if sys.argv[1] != "status" or answers() else 1


if __name__ == "__main__":
    raise SystemExit(main())
