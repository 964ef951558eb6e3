"""The network that clusters share is made once, though several sessions start at the same time."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.docker.chaos import RUN
from tests.docker.containers import docker
from tests.docker.test_manager import manager

pytestmark = pytest.mark.docker
SESSIONS = 8


def test_sessions_that_start_at_once_share_one_network(monkeypatch, tmp_path):
    monkeypatch.setenv("CLIPPER_HOME", str(tmp_path))
    name = f"clipper_test_{RUN}"
    engines = [manager(f"c{each}", docker_network=name)._engine for each in range(SESSIONS)]
    try:
        with ThreadPoolExecutor(SESSIONS) as pool:
            for each in [pool.submit(engine.make_network) for engine in engines]:
                each.result(60)
        assert len(networks(name)) == 1
        engines[0].remove_network()
        assert networks(name) == []
    finally:
        for each in networks(name):
            docker("network", "rm", each)


def networks(name):
    return docker("network", "ls", "--quiet", f"--filter=name=^{name}$").split()
