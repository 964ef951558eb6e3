"""Containers as the tests of the images see them: the ``docker`` command, each with a bound."""

import json
import subprocess
from dataclasses import dataclass

from clipper_admin.version import __registry__, __version__
from tests.clipper_admin.managers.polling import eventually

QUERY_IMAGE = f"{__registry__}/query_frontend:{__version__}"
MANAGEMENT_IMAGE = f"{__registry__}/management_frontend:{__version__}"
CLOSURE_IMAGE = f"{__registry__}/python311-closure-container:{__version__}"
SKLEARN_IMAGE = f"{__registry__}/sklearn311-container:{__version__}"


def docker(*arguments, timeout=60, stdin=None):
    """What the command prints; a failure shows what it says on stderr."""
    done = subprocess.run(
        ["docker", *map(str, arguments)], capture_output=True, text=True, timeout=timeout, input=stdin
    )
    assert done.returncode == 0, f"docker {' '.join(map(str, arguments))}: {done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Container:
    id: str

    def state(self):
        return json.loads(docker("inspect", "--format={{json .State}}", self.id))

    def health(self):
        return self.state()["Health"]["Status"]

    def await_health(self, status="healthy"):
        eventually(lambda: self._is(status), timeout=40)

    def address(self, port):
        """Where on this machine a port of it was published."""
        return docker("port", self.id, f"{port}/tcp").splitlines()[0]

    def run(self, *command):
        return docker("exec", self.id, *command)

    def stop(self):
        """Sends SIGTERM, and SIGKILL after 20 s; the exit code."""
        docker("stop", "--time", 20, self.id)
        return self.state()["ExitCode"]

    def logs(self):
        done = subprocess.run(["docker", "logs", self.id], capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr

    def _is(self, status):
        state = self.state()
        assert state["Running"], f"it has ended:\n{self.logs()}"
        return state["Health"]["Status"] == status
