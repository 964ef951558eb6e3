"""The processes of a cluster as the system sees them: found, and ended, also when supervisord is gone or deaf."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clipper_admin.exceptions import ClipperException

if TYPE_CHECKING:
    import psutil

KILL_SECONDS = 10.0


def supervisors(config: Path) -> list[psutil.Process]:
    """The supervisord that runs with this configuration, if it lives."""
    return _living(lambda process: "supervisor.supervisord" in process.cmdline() and str(config) in process.cmdline())


def children(control_socket: Path) -> list[psutil.Process]:
    """What the supervisord of this socket started, and what those started: it marks their environment."""
    mark = f"unix://{control_socket}"
    return _living(lambda process: process.environ().get("SUPERVISOR_SERVER_URL") == mark)


def end(find: Callable[[], list[psutil.Process]], patience: float) -> None:
    """Ends the processes that ``find`` finds: SIGTERM, and SIGKILL for those that live ``patience`` seconds later.

    Raises:
        ClipperException: one lives on after SIGKILL.
    """
    if patience:
        _ask(find(), "terminate")
        _wait_gone(find, patience)
    _ask(find(), "kill")
    _wait_gone(find, KILL_SECONDS)
    left = find()
    if left:
        pids = ", ".join(str(process.pid) for process in left)
        raise ClipperException(f"Processes {pids} of the cluster cannot be ended: look at the process table.")


def _living(belongs: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    import psutil  # here, to keep `import clipper_admin` light

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            # A zombie has ended: whoever should have noticed is gone, too.
            if belongs(process) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _ask(asked: list[psutil.Process], what: str) -> None:
    import psutil  # here, to keep `import clipper_admin` light

    for process in asked:
        with contextlib.suppress(psutil.Error):
            getattr(process, what)()  # not sent to another process that has got the pid since


def _wait_gone(find: Callable[[], list[psutil.Process]], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while find() and time.monotonic() < deadline:
        time.sleep(0.02)
