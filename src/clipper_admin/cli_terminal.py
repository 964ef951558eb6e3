"""Where a command of ``clipper`` finds its cluster, and how it shows results and errors."""

from __future__ import annotations

import enum
import json
import logging
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clipper_admin.connection import ClipperConnection
from clipper_admin.exceptions import ClipperException, IncompleteClusterException
from clipper_admin.managers.base import ContainerManager
from clipper_admin.managers.folders import ClusterFolder
from clipper_admin.managers.local import LocalContainerManager

FAILED: Final = 1
DEFAULT_CLUSTER: Final = "default-cluster"
_LOGGER: Final = logging.getLogger("clipper_admin")


class Kind(enum.StrEnum):
    LOCAL = "local"
    DOCKER = "docker"


class Output(enum.StrEnum):
    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a command finds its cluster and leaves its results."""

    cluster: str
    kind: Kind
    home: Path | None
    output: Output

    @property
    def is_json(self) -> bool:
        return self.output is Output.JSON

    def manager(self, **options: Any) -> ContainerManager:
        """The cluster's; ``options`` are what its kind of manager takes."""
        if self.kind is Kind.LOCAL:
            return self.local_manager(**options)
        from clipper_admin.managers.docker import DockerContainerManager  # only who uses Docker loads it

        return DockerContainerManager(self.cluster, **options)

    def local_manager(self, command: str = "", **options: Any) -> LocalContainerManager:
        """As ``manager``, for a ``command`` about processes of this machine; raises ClipperException in Docker."""
        if self.kind is not Kind.LOCAL:
            raise ClipperException(
                f"`clipper {command}` is about clusters of processes on this machine, and the manager is "
                f"{self.kind.value}: give --manager local, or leave CLIPPER_MANAGER out"
            )
        return LocalContainerManager(self.cluster, home=self.home, **options)

    @property
    def folder(self) -> ClusterFolder:
        """What the cluster keeps on disk, if there is one."""
        return ClusterFolder(self.local_manager().home / "clusters" / self.cluster)

    def command(self, name: str) -> str:
        """How to call a command for this cluster."""
        options = [] if self.cluster == DEFAULT_CLUSTER else ["--cluster", self.cluster]
        options += [] if self.kind is Kind.LOCAL else ["--manager", self.kind.value]
        options += [] if self.home is None else ["--home", str(self.home)]
        return f"`{shlex.join(['clipper', name, *options])}`"

    def running(self) -> ContainerManager:
        """The manager of the cluster, which runs."""
        manager = self.manager()
        try:
            manager.connect()
        except IncompleteClusterException as error:
            raise ClipperException(
                f"Cluster {self.cluster} runs without {error.lacks} ({manager.place}): "
                f"{self.command('start')} adds it"
            ) from error
        except ClipperException as error:
            others = ", ".join(manager.running_clusters()) or "none"
            raise ClipperException(
                f"Cluster {self.cluster} is not running ({manager.place}; clusters running there: {others}): "
                f"{self.command('start')} starts it"
            ) from error
        return manager

    @contextmanager
    def connected(self) -> Iterator[ClipperConnection]:
        """A connection to the running cluster, closed with the command."""
        connection = ClipperConnection(self.running())
        with _log_level(logging.WARNING):  # that it is connected goes without saying here
            connection.connect()
        try:
            yield connection
        finally:
            connection.close()

    def show(self, result: object, text: str | Table | None = None) -> None:
        """Prints ``result`` as JSON where that was asked for, else ``text``, on standard output."""
        if self.is_json:
            print(json.dumps(result, ensure_ascii=False), flush=True)  # noqa: T201
        elif isinstance(text, Table):
            print(_rendered(text), flush=True)  # noqa: T201
        elif text is not None:
            print(text, flush=True)  # noqa: T201

    def note(self, text: str) -> None:
        """A remark for people, on standard error."""
        _console(sys.stderr).print(Text(text), soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(str(each)) for each in row))
    return grid


def _rendered(grid: Table) -> str:
    console = _console(sys.stdout)
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def show_error(message: str) -> None:
    error = Text.assemble(("Error: ", "bold red"), message)
    _console(sys.stderr).print(error, soft_wrap=True)


class _Lines(logging.Handler):
    """Shows what Clipper logs as plain lines; its errors are left to ``show_error``."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            print(record.getMessage(), file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def log_lines() -> Iterator[None]:
    handlers = _LOGGER.handlers[:]
    _LOGGER.handlers[:] = [_Lines()]
    try:
        with _log_level(logging.INFO):
            yield
    finally:
        _LOGGER.handlers[:] = handlers


@contextmanager
def _log_level(level: int) -> Iterator[None]:
    before = _LOGGER.level
    _LOGGER.setLevel(level)
    try:
        yield
    finally:
        _LOGGER.setLevel(before)


def _console(stream: Any) -> Console:
    # A pipe has no width: nothing is cut or folded there.
    width = None if stream.isatty() else 10_000
    return Console(file=stream, highlight=False, width=width)
