"""The processes of a cluster, as tests that harm them see them."""

import os
import signal
from contextlib import contextmanager

from tests.integration.rest import send


def pids_of(clipper, prefix=""):
    """The programs of a cluster whose names begin so, with their pids."""
    return {each.program: each.pid for each in clipper.cm.process_table() if each.program.startswith(prefix)}


def pids_of_replicas(clipper, name):
    return list(pids_of(clipper, f"{name}_").values())


@contextmanager
def stopped(pid):
    """Meanwhile the process hangs: its connections stay, and it does nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_ready(address):
    try:
        return send(address, "GET", "/health/ready").status == 200
    except OSError:
        return False
