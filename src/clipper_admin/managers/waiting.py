"""Waiting for processes to be ready: bounded, at once over when one ends, and saying why."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.folders import ClusterFolder
from clipper_admin.managers.logs import how_it_ended, tail
from clipper_admin.managers.programs import ReplicaId
from clipper_admin.managers.supervisor import Process, Supervisor

POLL_SECONDS = 0.05


class Ended(Exception):
    """A program ended while it was waited for."""

    def __init__(self, program: str) -> None:
        super().__init__(program)
        self.program = program


class Overdue(Exception):
    """The time is over; ``missing`` is what had not come."""

    def __init__(self, missing: str) -> None:
        super().__init__(missing)
        self.missing = missing


def wait_until_ready(
    supervisor: Supervisor, programs: Sequence[str], missing: Callable[[], str], timeout: float
) -> None:
    """Returns once ``missing`` has nothing left to name.

    Raises:
        Ended: one of the programs ended, or was already started anew.
        Overdue: ``timeout`` seconds are over.
    """
    deadline = time.monotonic() + timeout
    first_pids: dict[str, int] = {}
    while True:
        processes = supervisor.processes()
        for program in programs:
            _check_alive(program, processes.get(program), first_pids)
        still_missing = missing()
        if not still_missing:
            return
        if time.monotonic() > deadline:
            raise Overdue(still_missing)
        time.sleep(POLL_SECONDS)


def _check_alive(program: str, process: Process | None, first_pids: dict[str, int]) -> None:
    if process is None or process.ended:
        raise Ended(program)
    if process.pid and first_pids.setdefault(program, process.pid) != process.pid:
        raise Ended(program)


def get(address: str, path: str) -> str:
    """What is wrong with the answer to a GET: nothing (empty) if it is a 200."""
    try:
        status, body = _request("GET", address, path)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({error})"
    return "" if status == 200 else f"{status} {body.decode(errors='replace')[:200]}"


def listening(path: Path) -> str:
    """What is wrong with a Unix socket: nothing (empty) if it takes connections."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError as error:
            return f"{path} takes no connection ({error})"
    return ""


def connected_replicas(admin_address: str, frontends: Iterable[str]) -> set[ReplicaId] | str:
    """The replicas connected to all of ``frontends``, or what kept the management frontend from saying."""
    try:
        status, body = _request("POST", admin_address, "/admin/get_all_containers", {"verbose": True})
        if status != 200:
            return f"the management frontend answered {status} {body.decode(errors='replace')[:200]}"
        return {
            ReplicaId(each["model_name"], each["model_version"], each["model_replica_id"])
            for each in json.loads(body)
            if set(frontends) <= set(each["frontends"])
        }
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        return f"the management frontend gave no answer ({error!r})"


def server_failure(folder: ClusterFolder, program: str, what: str) -> ClipperException:
    """Why a server could not be started, in its own words; a cluster that never ran takes its logs away with it."""
    return ClipperException(f"{program} {what}. {_log_part(folder, program, 'The end of its log')}")


def replica_failure(folder: ClusterFolder, replica: ReplicaId, interpreter: str) -> ClipperException:
    """Why a replica ended before it was ready: how, its own last words, and what to do."""
    ending = how_it_ended(folder, replica.program)
    return ClipperException(
        f"Model {replica.model}:{replica.version} failed to start: the process of replica {replica.number} "
        f"{_told(ending)} before it was ready. {_log_part(folder, replica.program)}\n"
        f"{way_out(ending, tail(folder.log(replica.program)), f'install it for {interpreter}')}"
    )


def replica_timeout(
    folder: ClusterFolder, supervisor: Supervisor, replica: ReplicaId, missing: str, timeout: float
) -> ClipperException:
    """Where a replica hangs: asks its process for its stacks (SIGUSR1) and shows the end of its log."""
    _dump_stacks(folder, supervisor, replica.program)
    return ClipperException(
        f"Model {replica.model}:{replica.version} was not ready after {timeout:g} s ({missing}). Where it was "
        f"then is shown last. {_log_part(folder, replica.program)}\n"
        "Correct what it waits for there, or give it longer: LocalContainerManager(deploy_timeout=...)."
    )


def _dump_stacks(folder: ClusterFolder, supervisor: Supervisor, program: str) -> None:
    before = tail(folder.log(program))
    supervisor.signal(program, "USR1")
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and tail(folder.log(program)) == before:
        time.sleep(POLL_SECONDS)
    time.sleep(POLL_SECONDS)  # the dump comes in several writes


def _log_part(folder: ClusterFolder, program: str, title: str = "") -> str:
    words = tail(folder.log(program))
    if words:
        title = title or f"The end of its log ({folder.log(program)})"
        return f"{title}:\n" + re.sub("(?m)^", "    ", words)
    free = shutil.disk_usage(folder.path).free
    return "Its log is empty" + (": the disk is full, free some space." if free < 1_000_000 else ".")


def _told(ending: str) -> str:
    if "SIGKILL" in ending:
        return "was killed (SIGKILL), perhaps because memory ran out,"
    if ending.startswith("terminated by"):
        return f"was {ending}"
    return f"ended with {ending}" if ending else "ended"


def way_out(ending: str, words: str, otherwise: str) -> str:
    """What to do about a model that ended so, with these last words; ``otherwise``: how else to get it a package."""
    absent = re.findall(r"(?m)^ *(?:ModuleNotFoundError|ImportError).*?'([\w.]+)'", words)
    if absent:
        module = absent[-1].split(".")[0]
        return (
            f"Python finds no {module!r} there: deploy with pkgs_to_install=[...] that names its package, or "
            f"{otherwise}."
        )
    if re.search(
        r"MemoryError|Memory allocation still failed|OutOfMemoryError|Could not reserve enough space", words
    ):
        return (
            "It ran out of memory: if you gave memory_bytes, give more, as libraries need some; then deploy it again."
        )
    if "SIGKILL" in ending:
        return "Make the model smaller, start fewer replicas, or give the machine more memory; then deploy again."
    if "Can't answer the sample" in words:
        return "Correct the model, or the sample that was given, then deploy it again."
    if ending.startswith("exit status") and not re.search("(?i)traceback|error|exception", words):
        return (
            f"It ended the process itself, with {ending.removeprefix('exit ')} and without a traceback: look for "
            "what calls os._exit, exit or abort while the model loads, a library perhaps, then deploy it again."
        )
    return "Correct the model where its log says so, then deploy it again."


def _request(method: str, address: str, path: str, body: Mapping[str, object] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
