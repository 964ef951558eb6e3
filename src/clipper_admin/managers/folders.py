"""Where a local cluster keeps its things on disk. Everything is readable by its owner alone."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.settings import taking_up

SOCKET_PATH_LIMIT = 90
"""Unix socket paths end at 104 bytes on some systems, and supervisor appends its pid while it binds."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a later session must know of a started cluster: the content of ``cluster.json``.

    ``cache_size`` is in bytes, the timeouts in seconds.
    """

    host: str
    query_port: int
    management_port: int
    rpc_port: int
    frontends: int
    sockets: str
    cache_size: int = 33_554_432
    request_timeout: float = 5.0
    content_timeout: float = 300.0
    log_level: str = "info"
    log_format: str = "text"

    def taking_up(self, before: Cluster) -> Cluster:
        """Itself, with the settings of ``before`` where nobody gave any."""
        return taking_up(self, before)

    def changes(self, before: Cluster) -> list[str]:
        """What users chose otherwise than ``before``, by the names of the arguments they chose it with."""
        arguments = {"num_frontend_replicas": "frontends", "host": "host"}
        arguments |= {f"clipper_{each}_port": f"{each}_port" for each in ("query", "management", "rpc")}
        arguments |= {name: name for name in ("cache_size", "log_level", "log_format")}
        arguments |= {f"qf_http_timeout_{each}": f"{each}_timeout" for each in ("request", "content")}
        values = [(name, getattr(self, field), getattr(before, field)) for name, field in arguments.items()]
        return [f"{name}={now!r} (before: {then!r})" for name, now, then in values if now != then]


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    """The layout of one cluster's folder, ``home/clusters/<name>``."""

    path: Path

    @property
    def store(self) -> Path:
        return self.path / "clipper.db"

    @property
    def record(self) -> Path:
        return self.path / "cluster.json"

    @property
    def supervisor_config(self) -> Path:
        return self.path / "supervisord.conf"

    @property
    def runtime(self) -> Path:
        return self.path / "clipper-container.pyz"

    @property
    def programs(self) -> Path:
        return self.path / "programs"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def models(self) -> Path:
        return self.path / "models"

    @property
    def replica_ids(self) -> Path:
        return self.path / "replica-ids"

    def log(self, program: str) -> Path:
        return self.logs / f"{program}.log"

    def create(self) -> None:
        for folder in (self.path, self.programs, self.logs, self.models, self.replica_ids):
            private_folder(folder)

    def sockets(self) -> Path:
        """The folder of the cluster's Unix sockets: inside, or in the temporary folder where the path is unfit."""
        inside = self.path / "sockets"
        if len(os.fsencode(inside)) + len("/supervisor.sock") > SOCKET_PATH_LIMIT or not _plain(inside):
            digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
            return Path(tempfile.gettempdir()) / f"clipper-{os.getuid()}-{digest}"
        return inside

    def read(self) -> Cluster | None:
        """The cluster last started here, which may have died or been stopped since; None where there was none."""
        try:
            return Cluster(**json.loads(self.record.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, cluster: Cluster) -> None:
        write_atomically(self.record, json.dumps(dataclasses.asdict(cluster), indent=1))

    def remove(self) -> None:
        """Removes the folder in one step as others see it."""
        if self.path.exists():
            doomed = self.path.with_name(f".{self.path.name}.removed-{os.getpid()}")
            self.path.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def default_home() -> Path:
    return Path(os.environ.get("CLIPPER_HOME") or "~/.clipper")


def private_folder(path: Path) -> Path:
    """Makes ``path`` a folder that only its owner may enter.

    Raises:
        ClipperException: it belongs to somebody else, who could put sockets or programs of their own there.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ClipperException(f"{path} is not a folder of this user: remove it, or choose another home= or TMPDIR.")
    path.chmod(0o700)
    return path


def write_atomically(path: Path, text: str) -> None:
    """Readers see the old text or the new one, also after a crash."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@contextlib.contextmanager
def locked(path: Path, timeout: float, busy: str) -> Iterator[None]:
    """Holds a lock between processes; the kernel frees it if its holder dies. A folder can be one, as can any file.

    Raises:
        ClipperException: ``busy``, when another process has held the lock for ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    with disk_errors("take a lock", path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _try_lock(file):
            if time.monotonic() > deadline:
                raise ClipperException(f"{busy} (waited {timeout:g} s for {path}).")
            time.sleep(0.05)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def disk_errors(doing: str, path: Path) -> Iterator[None]:
    """Turns an ``OSError`` of the block into a ClipperException that says what could not be done, and where."""
    try:
        yield
    except OSError as error:
        way_out = "check the folder's permissions and free space, or choose another home="
        raise ClipperException(f"Cannot {doing} in {path}: {error}; {way_out}.") from error


def valid_name(what: str, value: str) -> str:
    """``value``, if it can be part of a path, a program's name and a DNS name.

    Raises:
        ClipperException: it can't.
    """
    if not isinstance(value, str):
        raise ClipperException(f"Invalid value: {value!r}: a {what} must be a str, not {type(value).__name__}.")
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", value):
        raise ClipperException(
            f"Invalid value: {value}: a {what} must be a valid DNS-1123 label: at most 63 lower case letters, digits "
            f"and '-', with a letter or digit first and last."
        )
    return value


def _plain(path: Path) -> bool:
    """Whether a path needs no quoting in lists of addresses and in supervisor's configuration."""
    return re.fullmatch(r"[\w./@+~-]+", str(path), re.ASCII) is not None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
