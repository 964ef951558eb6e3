"""The first process of a container's namespace, where no init is: the kernel spares it the signals that it does not
handle, so that neither SIGTERM while a model loads nor the alarm of one that does not come back would end it."""

from __future__ import annotations

import os
import signal
from typing import Final

_FORWARDED: Final = frozenset(
    {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
)
_WATCHED: Final = _FORWARDED | {signal.SIGCHLD}


def leave_first_place() -> None:
    """Goes on in a child if this is process 1, which stays behind: it hands on signals, buries orphans, and ends as
    the child does. To be called before there are threads."""
    if os.getpid() != 1:
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    child = os.fork()
    if child:
        os._exit(_stay(child))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stay(child: int) -> int:
    """The exit code of ``child``, as a shell has it: 128 and the signal's number for one that was killed."""
    while True:
        number = signal.sigwait(_WATCHED)
        if number != signal.SIGCHLD:
            os.kill(child, number)
        elif (status := _bury(child)) is not None:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _bury(child: int) -> int | None:
    """Takes note of all that have ended, for one SIGCHLD may stand for several; the status of ``child`` if it has."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        if pid == child:
            found = status
