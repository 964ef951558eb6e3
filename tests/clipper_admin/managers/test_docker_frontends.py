"""Query frontends added to a cluster in Docker are as the first: ``tests/docker/test_chaos.py`` runs them."""

from dataclasses import dataclass

import pytest

from clipper_admin import ClipperConnection, ClipperException
from clipper_admin.managers.docker_cluster import in_order
from clipper_admin.managers.docker_frontends import servers_of
from clipper_admin.managers.docker_parts import FRONTEND, Servers, query_frontend
from clipper_admin.managers.folders import Cluster
from clipper_admin.managers.lifecycle import check_frontends
from clipper_admin.managers.settings import ServerSettings
from tests.clipper_admin.cluster import RecordingManager, Server


@dataclass
class Frontend:
    labels: dict


def test_what_one_was_started_with_is_read_of_its_command():
    servers = Servers(
        "c", "redis://redis-1:6379/0?cluster=c", ServerSettings(12_345, 1.5, 20.25, frontends=1), ("debug", "json")
    )
    assert servers_of("c", query_frontend(servers, "image", 0, 1337, 7000).command) == servers


def test_a_command_of_another_version_is_refused():
    with pytest.raises(ClipperException, match=r"cluster c .*'cache-bytes'.*query --store=x.: stop_all"):
        servers_of("c", ["query", "--store=x"])


def test_the_order_is_that_of_their_numbers():
    frontends = [Frontend({FRONTEND: f"frontend-{each}"}) for each in (10, 2, 0)]
    assert in_order(frontends) == frontends[::-1]


def test_a_local_cluster_refuses_another_number_and_says_how():
    cluster = Cluster("127.0.0.1", 1, 2, 3, frontends=2, sockets="")
    check_frontends(cluster, 2)
    with pytest.raises(ClipperException, match=r"keep_state=True\), then start_clipper\(num_frontend_replicas=3\)"):
        check_frontends(cluster, 3)
    with pytest.raises(ClipperException, match="num_frontend_replicas"):
        check_frontends(cluster, 0)


def test_a_connection_asks_its_manager():
    with Server() as server:
        manager = RecordingManager(server.addr)
        connection = ClipperConnection(manager)
        connection.connect()
        connection.set_num_frontend_replicas(3)
        connection.close()
    assert manager.calls[-1] == ("set_num_frontend_replicas", 3)
