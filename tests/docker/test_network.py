"""Sessions that start at the same time: the network that they share is made once, and ports are not."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from clipper_admin import ClipperException
from clipper_admin.managers import docker_ports, docker_start
from tests.docker.chaos import RUN
from tests.docker.clusters import IMAGES, ids, running
from tests.docker.containers import docker
from tests.docker.test_manager import manager

pytestmark = pytest.mark.docker
SESSIONS = 8


def test_sessions_that_start_at_once_share_one_network():
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


def test_a_port_that_is_taken_in_the_last_moment_is_replaced(monkeypatch):
    """As when two clusters start at once: what was free as it was chosen is somebody else's at the start."""
    foreign = docker("run", "--detach", "--publish=127.0.0.1::6379", IMAGES["redis_image"])
    try:
        taken = int(docker("port", foreign, "6379/tcp").rpartition(":")[2])
        choose, chosen = docker_ports.preferred_port, []

        def late(host, wanted, ours):
            chosen.append(choose(host, wanted, ours))
            return taken if len(chosen) in (1, 3) else chosen[-1]

        monkeypatch.setattr(docker_ports, "preferred_port", late)
        with running("late") as clipper:
            clipper.set_num_frontend_replicas(2)
            assert clipper.get_all_apps() == []
            assert not any(str(taken) in docker("port", each) for each in ids("late"))
    finally:
        docker("rm", "--force", "--volumes", foreign)


def test_an_address_that_is_not_the_engines_is_doubted(monkeypatch):
    monkeypatch.setattr(docker_start, "START_TIMEOUT", 5.0)
    elsewhere = manager("elsewhere", docker_ip_address="192.0.2.1", prometheus_image=None)
    with pytest.raises(ClipperException, match=r"is docker_ip_address, 192\.0\.2\.1, one of the engine's") as told:
        elsewhere.start_clipper()
    assert "Ready to accept connections" not in told.value.msg  # Redis' log: it is well
    assert not elsewhere.exists()
