"""The managers, each with what a test must know to start clusters of it beside others."""

import contextlib
import subprocess
import sys
import uuid
from dataclasses import dataclass, field

import pytest

from clipper_admin import ClipperConnection, DockerContainerManager, LocalContainerManager
from clipper_admin.deployers.python import deploy_python_closure
from tests.clipper_admin.managers.polling import eventually
from tests.integration.rest import ask

IMAGES = {"redis_image": "clipper-test-redis", "prometheus_image": None}
PORTS = {"clipper_query_port": 0, "clipper_management_port": 0, "clipper_rpc_port": 0}


@dataclass
class Place:
    """Where clusters of one kind of manager are started; ``stop`` removes them all."""

    kind: str
    home: str
    mark: str = field(default_factory=lambda: f"alike-{uuid.uuid4().hex[:6]}")
    names: list = field(default_factory=list)

    def name(self, stem):
        """Of a cluster that nobody else has on this engine."""
        return f"{self.mark}-{stem}"

    def connection(self, stem, **options):
        if self.name(stem) not in self.names:
            self.names.append(self.name(stem))
        ports = PORTS | {"deploy_timeout": 60} | options
        if self.kind == "local":
            return ClipperConnection(LocalContainerManager(self.name(stem), home=self.home, **ports))
        ports |= {"redis_port": 0, "docker_network": self.mark}
        return ClipperConnection(DockerContainerManager(self.name(stem), **(IMAGES | ports)))

    @contextlib.contextmanager
    def running(self, stem, log_format="text", **options):
        connection = self.connection(stem, log_format=log_format)
        try:
            connection.start_clipper(**options)
            yield connection
        finally:
            connection.stop_all(graceful=False)

    def cli(self, stem, *words, exit_code=0, timeout=90):
        """What ``clipper`` prints on standard output, or on standard error if it fails."""
        command = [sys.executable, "-m", "clipper_admin.cli", *words, "--cluster", self.name(stem)]
        command += ["--manager", self.kind]
        done = subprocess.run(command, cwd=self.home, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == exit_code, f"{command}: {done.stdout}{done.stderr}"
        return done.stderr if exit_code else done.stdout

    def stop(self):
        for name in self.names:
            stem = name.removeprefix(f"{self.mark}-")
            self.connection(stem).stop_all(graceful=False)
            assert not self.connection(stem).cm.exists()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("local", marks=[pytest.mark.cluster, pytest.mark.heavy]),
        pytest.param("docker", marks=pytest.mark.docker),
    ],
)
def place(request, tmp_path_factory):
    home = str(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIPPER_HOME", home)
        place = Place(request.param, home)
        yield place
        place.stop()


@pytest.fixture(scope="module")
def clipper(place):
    """The cluster that a module's tests share."""
    with place.running("one") as connection:
        yield connection


@pytest.fixture
def serve():
    """Registers an application, deploys a function behind it, and returns once queries reach it.

    Its models are stopped after the test, for the machine's sake.
    """
    served = []

    def serve(clipper, name, function, **options):
        clipper.register_application(name, "doubles", "-1.0", 5_000_000)
        served.append((clipper, name))
        deploy_python_closure(clipper, name, 1, "doubles", function, **options)
        clipper.link_model_to_app(name, name)
        eventually(lambda: not ask(clipper.get_query_addr(), name, [1.0])["default"], timeout=30)

    yield serve
    for clipper, name in served:
        if clipper.connected:
            clipper.stop_models([name])
