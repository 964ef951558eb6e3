"""Waiting for containers to be ready: bounded, at once over when one ends, and saying why."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.docker_engine import explained, tail

POLL_SECONDS: Final = 0.2


def wait_for(containers: Sequence[Any], missing: Callable[[], str], timeout: float, what: str) -> None:
    """Returns once ``missing`` has nothing left to name.

    Raises:
        ClipperException: a container ended, or the time is over; with its last log lines.
    """
    deadline = time.monotonic() + timeout
    while still_missing := missing():
        for each in containers:
            if ending := _ending(each):
                raise ClipperException(f"{what} failed to start: the container {each.name} {ending}. {_log_of(each)}")
        if time.monotonic() > deadline:
            late = "".join(f"\n{each.name}: {_log_of(each)}" for each in containers)
            raise ClipperException(f"{what} was not ready after {timeout:g} s ({still_missing}).{late}")
        time.sleep(POLL_SECONDS)


def _ending(container: Any) -> str:
    """How a container ended, or was started again after it had; empty if it runs."""
    with explained(f"look at the container {container.name}"):
        container.reload()
    state = container.attrs["State"]
    if state["Status"] in ("created", "running") and not container.attrs.get("RestartCount"):
        return ""
    if state.get("OOMKilled"):
        return "ran out of memory: give it more, or make the model smaller"
    if state["Status"] == "running":
        return "ended, and was started again"
    return f"ended with exit code {state['ExitCode']}"


def _log_of(container: Any) -> str:
    words = tail(container)
    advice = ""
    if absent := re.findall(r"(?m)^(?:ModuleNotFoundError|ImportError).*?'([\w.]+)'", words):
        advice = f"\nThe image has no {absent[-1]!r}: deploy with pkgs_to_install=[...], or another base_image."
    return "Its log is empty." if not words else "The end of its log:\n" + re.sub("(?m)^", "    ", words) + advice
