"""Waiting for containers to be ready: bounded, at once over when one ends, and saying why."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.docker_engine import tail
from clipper_admin.managers.docker_errors import explained
from clipper_admin.managers.docker_images import is_clippers, starts
from clipper_admin.managers.docker_parts import FLUENTD_PORT, METRIC_PORT, MODEL, REDIS_PORT
from clipper_admin.managers.logs import TRACEBACK_LINES, last_words
from clipper_admin.managers.waiting import way_out

POLL_SECONDS: Final = 0.2
LAG_SECONDS: Final = 0.2
"""What an event may come late."""
STACK_SECONDS: Final = 2.0
KILLED: Final = "137"


def wait_for(containers: Sequence[Any], missing: Callable[[], str], timeout: float, what: str) -> None:
    """Returns once ``missing`` has nothing left to name.

    Raises:
        ClipperException: a container ended, or the time is over; with the last log lines of those that are not ready.
    """
    deadline = time.monotonic() + timeout
    while still_missing := missing():
        for each in containers:
            if ending := _ending(each):
                raise ClipperException(
                    f"{what} failed to start: the container {each.name} {ending}. {_log_of(each, ending)}"
                )
        if time.monotonic() > deadline:
            raise ClipperException(
                f"{what} was not ready after {timeout:g} s ({still_missing}).{_hanging(containers)}"
            )
        time.sleep(POLL_SECONDS)


def _ending(container: Any) -> str:
    """How a container ended, also if it was started again since; empty if it runs as it was started."""
    with explained(f"look at the container {container.name}"):
        container.reload()
    if container.attrs["State"]["Status"] in ("created", "running") and not container.attrs.get("RestartCount"):
        return ""
    if _events(container, "oom") or container.attrs["State"]["OOMKilled"]:
        return "ran out of memory (SIGKILL)"
    code = _exit_status(container)
    if code == KILLED:
        return "was killed (SIGKILL), perhaps because memory ran out"
    return f"ended with exit status {code}" if code else "ended with exit status unknown"


def _exit_status(container: Any) -> str:
    """Of its last end; empty if that can't be known: the engine keeps some hundred events of all containers."""
    deaths = _events(container, "die")
    if deaths:
        return str(deaths[-1]["exitCode"])
    state = container.attrs["State"]  # of a container that was started again it says 0
    return str(state["ExitCode"]) if state["Status"] in ("exited", "dead", "restarting") else ""


def _hanging(containers: Sequence[Any]) -> str:
    """Where they hang: models are asked for their stacks (SIGUSR1), which they write to their logs."""
    models = [each for each in containers if MODEL in each.labels]
    for each in models:
        _dump_stacks(each)
    late = "".join(f"\n{each.name}: {_log_of(each)}" for each in containers if _may_be_late(each, containers))
    if not models:
        return late
    return (
        f" Where it was then is shown last.{late}\n"
        "Correct what it waits for there, or give it longer: DockerContainerManager(deploy_timeout=...)."
        f"{_doubt_about(models[0])}"
    )


def _doubt_about(model: Any) -> str:
    """Whoever deploys an image of another program waits for it in vain."""
    started = starts(model.attrs["Config"])
    if is_clippers(started):
        return ""
    return (
        f" Its image starts {' '.join(started)!r}, which is not Clipper's: is that a model container, as "
        "docs/wire.md has them, that connects to CLIPPER_ADDRESS?"
    )


def _may_be_late(container: Any, containers: Sequence[Any]) -> bool:
    """Whether it can be what was waited for: not what is healthy by its own check, nor what others only use."""
    if MODEL in container.labels:
        return True
    is_service = any(label in container.labels for label in (REDIS_PORT, METRIC_PORT, FLUENTD_PORT))
    is_healthy = container.attrs["State"].get("Health", {}).get("Status") == "healthy"
    return not is_healthy and (len(containers) == 1 or not is_service)


def _dump_stacks(container: Any) -> None:
    before, deadline = tail(container), time.monotonic() + STACK_SECONDS
    with contextlib.suppress(ClipperException), explained(f"ask {container.name} for its stacks"):
        container.kill(signal="SIGUSR1")
    while time.monotonic() < deadline and tail(container) == before:
        time.sleep(POLL_SECONDS)
    time.sleep(POLL_SECONDS)  # the dump comes in several writes


def _events(container: Any, kind: str) -> list[dict[str, str]]:
    """What the engine has noted of it; its state tells nothing of an end once it was started again."""
    with explained(f"look at what became of the container {container.name}"):
        found = container.client.api.events(
            since=_epoch(container.attrs["Created"]),
            until=f"{time.time() + LAG_SECONDS:.3f}",
            filters={"container": container.id, "event": kind},
            decode=True,
        )
        return [each["Actor"]["Attributes"] for each in found]


def _epoch(time_of_engine: str) -> int:
    """``2026-01-02T03:04:05.678901234Z`` in whole seconds, which engines of every version take."""
    return int(datetime.fromisoformat(time_of_engine[:19]).replace(tzinfo=UTC).timestamp())


def _log_of(container: Any, ending: str = "") -> str:
    """The last words of a container, and for a model what to do about them."""
    log = tail(container, TRACEBACK_LINES)
    words = last_words(log)
    told = "The end of its log:\n" + re.sub("(?m)^", "    ", words) if words else "Its log is empty."
    if not ending or MODEL not in container.labels:
        return told
    return f"{told}\n{way_out(ending.removeprefix('ended with '), log, 'name a base_image that has it')}"
