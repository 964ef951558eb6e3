"""What the containers of a cluster are called and wrote: those that run, and those that have stopped."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers import docker_parts
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_errors import explained
from clipper_admin.managers.programs import MANAGEMENT, ReplicaId
from clipper_admin.managers.settings import no_program
from clipper_admin.managers.supervisor import Process

KEPT_LINES: Final = 100_000
PAUSE: Final = 0.5
_PARTS: Final = {
    docker_parts.MANAGEMENT_FRONTEND: MANAGEMENT,
    docker_parts.REDIS_PORT: "redis",
    docker_parts.METRIC_PORT: "prometheus",
    docker_parts.FLUENTD_PORT: "fluentd",
}


def program_of(container: Any) -> str:
    """As the local manager calls what a container runs: ``query-frontend-0``, ``sum-model_1-0``."""
    labels = container.labels
    if docker_parts.MODEL in labels:
        name, _, version = labels[docker_parts.MODEL].partition("_")
        return ReplicaId(name, version, int(labels.get(docker_parts.REPLICA, 0))).program
    if docker_parts.FRONTEND in labels:
        return f"query-{labels[docker_parts.FRONTEND]}"
    return next((program for label, program in _PARTS.items() if label in labels), str(container.name))


def processes(engine: Engine) -> list[Process]:
    """Every container of the cluster, by its program's name."""
    return sorted(map(_process, engine.containers()), key=lambda each: each.program)


def lines(engine: Engine, program: str | None, count: int, follow: bool) -> Iterator[tuple[str, str]]:
    """The last ``count`` lines of a program, or of all, as (program, line); then, to follow, all new ones.

    Following ends when the containers are removed.

    Raises:
        ClipperException: there is no such program; or its lines can't be read, as its log driver keeps none.
    """
    found = sorted((program_of(each), each) for each in engine.containers())
    chosen = [(name, each) for name, each in found if program in (None, name, each.name)]
    if not chosen and program is not None:
        raise no_program(engine.cluster, program, [name for name, _ in found])
    return _followed(chosen, count) if follow else _last(chosen, count)


def write_all(engine: Engine, folder: Path) -> list[str]:
    """Writes the log of every container to ``image_<id>:container_<id>.log``, as the original; the paths."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in engine.containers():
            image = each.attrs["Image"].partition(":")[2][:10]
            file = folder / f"image_{image}:container_{each.short_id}.log"
            file.write_text("".join(f"{line}\n" for line in _tail(each, KEPT_LINES)), encoding="utf-8")
            written.append(str(file))
    except OSError as error:
        raise ClipperException(f"Cannot copy the logs to {folder}: {error}") from error
    return written


def _process(container: Any) -> Process:
    state = container.attrs["State"]
    started = _seconds(state["StartedAt"])
    uptime = max(0, int(time.time() - started)) if state["Running"] else 0
    return Process(program_of(container), state["Status"].upper(), state["Pid"], int(started), uptime)


def _seconds(when: str) -> float:
    """Of ``2026-01-02T03:04:05.123456789Z``; 0 for a container that never ran."""
    moment = datetime.fromisoformat(when[:19]).replace(tzinfo=UTC)
    return moment.timestamp() if moment.year > 1 else 0.0


def _last(chosen: list[tuple[str, Any]], count: int) -> Iterator[tuple[str, str]]:
    for name, container in chosen:
        yield from ((name, line) for line in _tail(container, count))


def _tail(container: Any, count: int) -> list[str]:
    """The last lines; of a container that has just gone there are none."""
    import docker

    try:
        with explained(f"read the log of {container.name}"):
            return list(_whole_lines(iter([container.logs(tail=count)])))
    except ClipperException as error:
        if isinstance(error.__cause__, docker.errors.NotFound):
            return []
        raise


def _followed(chosen: list[tuple[str, Any]], count: int) -> Iterator[tuple[str, str]]:
    """A thread reads each container until that is gone; whoever stops asking leaves them to end with the process."""
    found: queue.SimpleQueue[tuple[str, str] | ClipperException | None] = queue.SimpleQueue()

    def read(name: str, container: Any) -> None:
        try:
            for line in _read_on(container, count):
                found.put((name, line))
        except ClipperException as error:
            found.put(error)
        finally:
            found.put(None)

    for each in chosen:
        threading.Thread(target=read, args=each, daemon=True).start()
    reading = len(chosen)
    while reading:
        item = found.get()
        if isinstance(item, ClipperException):
            raise item
        if item is None:
            reading -= 1
        else:
            yield item


def _read_on(container: Any, count: int) -> Iterator[str]:
    """The last lines and all that come, also after it was started again; ends when the container is removed."""
    last, options = "", {"tail": count}
    while True:
        with explained(f"follow the log of {container.name}"):
            stream = container.logs(stream=True, follow=True, timestamps=True, **options)
            for line in _whole_lines(stream):
                when, _, words = line.partition(" ")
                if when > last:  # those of the second that it is asked from come once more
                    last = when
                    yield words
        if not _runs_again(container):
            return
        options = {"since": int(_seconds(last)) if last else 0}


def _runs_again(container: Any) -> bool:
    """Waits for a container that has stopped to be started; False if it is removed instead."""
    import docker

    while True:
        try:
            container.reload()
        except docker.errors.NotFound:
            return False
        except docker.errors.DockerException as error:
            raise ClipperException(f"Docker can't say whether {container.name} is there still: {error}") from error
        if container.status == "running":
            return True
        if container.status in ("removing", "dead"):
            return False
        time.sleep(PAUSE)


def _whole_lines(stream: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in stream:
        *complete, rest = (rest + chunk).split(b"\n")
        yield from map(_text, complete)
    if rest:
        yield _text(rest)


def _text(data: bytes) -> str:
    return data.rstrip(b"\r").decode("utf-8", "replace")
