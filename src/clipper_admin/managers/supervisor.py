"""supervisord as this package uses it: one process that starts, watches and restarts the others of a cluster."""

from __future__ import annotations

import glob
import http.client
import re
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from clipper_admin.exceptions import ClipperException

STOP_SECONDS = 15
"""How long a program may take to drain after SIGTERM before it is killed."""

ENDED = frozenset({"BACKOFF", "EXITED", "FATAL", "UNKNOWN"})
BAD_NAME, NOT_RUNNING, ALREADY_ADDED, STILL_RUNNING = 10, 70, 90, 91
LOG_BYTES = 10_000_000
LOG_BACKUPS = 3


@dataclass(frozen=True, slots=True)
class Program:
    """One process to keep running. Where priorities differ, lower ones start first and stop last.

    ``directory`` is where it runs: a plain path below the cluster's folder, or empty for that folder itself.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    priority: int = 500
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """A program as supervisord sees it now; ``started`` is when it last was, in whole seconds, 0 if never."""

    program: str
    state: str
    pid: int
    started: int
    uptime: int

    @property
    def ended(self) -> bool:
        return self.state in ENDED or (self.state == "STOPPED" and self.started > 0)


def program_config(program: Program) -> str:
    """The section of a program, to be read with the cluster's folder as the working directory.

    The environment goes through env(1): supervisor's own setting for it cannot express every value.
    """
    variables = [f"{name}={value}" for name, value in program.environment.items()]
    # env(1) would take a command with '=' in its path for one more variable.
    shell = ["/bin/sh", "-c", 'exec "$0" "$@"'] if "=" in program.command[0] else []
    command = " ".join(quote(word) for word in ["/usr/bin/env", *variables, *shell, *program.command])
    return f"""\
[program:{program.name}]
command={command}
directory={program.directory or "."}
priority={program.priority}
autostart=true
autorestart=true
startsecs=1
startretries=1000000
stopsignal=TERM
stopwaitsecs={STOP_SECONDS}
killasgroup=true
redirect_stderr=true
stdout_logfile=logs/{program.name}.log
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups={LOG_BACKUPS}
"""


def supervisor_config(control_socket: Path, programs: Path) -> str:
    """The main section: everything private, control through the Unix socket alone."""
    return f"""\
[supervisord]
logfile=logs/supervisord.log
logfile_maxbytes={LOG_BYTES}
logfile_backups={LOG_BACKUPS}
pidfile=supervisord.pid
nocleanup=true
umask=077
minfds=256
minprocs=1

[unix_http_server]
file={str(control_socket).replace("%", "%%")}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[include]
files={_include_pattern(programs)}
"""


def quote(word: str) -> str:
    """One word of a command, whatever it holds, so that supervisor reads it back unchanged.

    Its configuration is an INI file (comments after a blank, lines stripped and joined, ``%`` expanded) whose
    command is then split as a shell would. Closing and opening the quotation (``''``) shields each of those without
    adding text.

    Raises:
        ClipperException: the word holds a NUL or a carriage return, which can't be written.
    """
    if "\0" in word or "\r" in word:
        raise ClipperException(f"{word!r} holds a control character that a command line cannot carry: take it out.")
    shielded = word.replace("'", "'\"'\"'").replace("#", "''#").replace(";", "'';")
    return "'" + shielded.replace("\n", "''\n ''").replace("%", "%%") + "'"


def start_supervisor(folder: Path, config: Path) -> None:
    """Starts supervisord as a daemon in a session of its own; returns when its control socket listens.

    Raises:
        ClipperException: it refused to start; its own words are in the message.
    """
    command = [sys.executable, "-X", "utf8", "-m", "supervisor.supervisord", "-c", str(config)]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            timeout=30,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClipperException(f"supervisord could not be started with {config}: {error}") from error
    if done.returncode:
        raise ClipperException(f"supervisord did not start with {config}: {done.stdout.strip()[-2000:]}")


class Supervisor:
    """The control socket of one cluster's supervisord. Methods raise ClipperException when it does not answer."""

    def __init__(self, control_socket: Path) -> None:
        self.control_socket = control_socket

    def running(self) -> bool:
        try:
            self.pid()
        except ClipperException:
            return False
        return True

    def pid(self) -> int:
        return int(self._call("getPID"))

    def processes(self) -> dict[str, Process]:
        """All programs by name, in that order."""
        found = (_process(info) for info in self._call("getAllProcessInfo"))
        return {each.program: each for each in sorted(found, key=lambda each: each.program)}

    def add(self, programs: Iterable[str]) -> None:
        """Starts programs whose configuration has been written; those already there are left alone."""
        self._call("reloadConfig")
        for name in programs:
            self._call("addProcessGroup", name, tolerate=(ALREADY_ADDED,))

    def remove(self, programs: Iterable[str], kill: bool = False) -> None:
        """Stops programs (all at once, each with time to drain unless ``kill``) and forgets them.

        Raises:
            ClipperException: one would not end, not even when killed.
        """
        left = list(programs)
        deadline = time.monotonic() + STOP_SECONDS + 10
        while True:
            for name in left:
                self._stop(name, kill)
            left = [name for name in left if not self._forget(name)]
            if not left:
                return
            if time.monotonic() > deadline:
                raise ClipperException(f"{', '.join(left)} did not end, though killed: look at the process table.")
            time.sleep(0.02)

    def signal(self, program: str, signal_name: str) -> None:
        """Sends a signal such as ``USR1``; a program that is not running is left alone."""
        self._call("signalProcess", program, signal_name, tolerate=(BAD_NAME, NOT_RUNNING))

    def shutdown(self) -> None:
        self._call("shutdown")

    def _stop(self, program: str, kill: bool) -> None:
        self._call("stopProcess", program, False, tolerate=(BAD_NAME, NOT_RUNNING))
        if kill:
            self.signal(program, "KILL")

    def _forget(self, program: str) -> bool:
        answer = self._call("removeProcessGroup", program, tolerate=(BAD_NAME, STILL_RUNNING))
        return bool(answer != STILL_RUNNING)

    def _call(self, method: str, *arguments: Any, tolerate: tuple[int, ...] = ()) -> Any:
        """The answer of supervisord, or the code of a tolerated fault."""
        try:
            return self._exchange(xmlrpc.client.dumps(arguments, f"supervisor.{method}"))
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in tolerate:
                return fault.faultCode
            raise ClipperException(f"supervisord refused {method}{arguments}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException, ExpatError) as error:
            raise ClipperException(
                f"The cluster's supervisord does not answer on {self.control_socket} ({error}): call start_clipper "
                "to take the cluster up again."
            ) from error

    def _exchange(self, call: str) -> Any:
        connection = _UnixConnection(self.control_socket)
        try:
            connection.request("POST", "/RPC2", call, {"Content-Type": "text/xml"})
            (answer,), _ = xmlrpc.client.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def _process(info: Mapping[str, Any]) -> Process:
    uptime = info["now"] - info["start"] if info["pid"] else 0
    return Process(info["name"], info["statename"], info["pid"], info["start"], uptime)


def _include_pattern(programs: Path) -> str:
    # Patterns are parted by blanks, so those in the path are matched as "any character".
    return re.sub(r"\s", "?", glob.escape(str(programs))).replace("%", "%%") + "/*.conf"
