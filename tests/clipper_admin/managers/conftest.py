import logging
import sys

import pytest

from clipper_admin.log import ClusterLogger
from clipper_admin.managers import lifecycle
from clipper_admin.managers.folders import Cluster, ClusterFolder, write_atomically
from clipper_admin.managers.supervisor import Program, Supervisor, start_supervisor, supervisor_config


@pytest.fixture
def logger():
    return ClusterLogger(logging.getLogger("clipper_admin.test"), "test")


@pytest.fixture
def folder(tmp_path):
    folder = ClusterFolder(tmp_path / "a home of 100%" / "clusters" / "test")
    folder.create()
    return folder


@pytest.fixture
def cluster(folder):
    """What would be started in ``folder``, with ports that nobody is asked on."""
    folder.sockets().mkdir(mode=0o700)
    cluster = Cluster("127.0.0.1", 1, 2, 3, frontends=2, sockets=str(folder.sockets()))
    folder.write(cluster)
    yield cluster
    lifecycle.stop_processes(folder, graceful=False)
    lifecycle.remove_files(folder)


@pytest.fixture
def supervisor(folder, cluster):
    """A supervisord without programs."""
    control_socket = lifecycle.control_socket(cluster.sockets)
    write_atomically(folder.supervisor_config, supervisor_config(control_socket, folder.programs))
    start_supervisor(folder.path, folder.supervisor_config)
    return Supervisor(control_socket)


@pytest.fixture
def run(folder, supervisor):
    """Runs Python code as programs of the given names."""

    def run(code, *names, **environment):
        for name in names:
            program = Program(name, (sys.executable, "-u", "-c", code), environment)
            lifecycle.write_program(folder, program)
        supervisor.add(names)

    return run
