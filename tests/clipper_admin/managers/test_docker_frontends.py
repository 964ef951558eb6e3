"""Query frontends added to a cluster in Docker are as the first: ``tests/docker/test_chaos.py`` runs them."""

from dataclasses import dataclass

import pytest

from clipper_admin import ClipperException, LocalContainerManager
from clipper_admin.managers.docker_frontends import in_order, servers_of
from clipper_admin.managers.docker_parts import FRONTEND, Servers, query_frontend


@dataclass
class Frontend:
    labels: dict


def test_what_one_was_started_with_is_read_of_its_command():
    servers = Servers("c", "redis://redis-1:6379/0?cluster=c", 12_345, 1.5, 20.25)
    assert servers_of("c", query_frontend(servers, "image", 0, 1337, 7000).command) == servers


def test_a_command_of_another_version_is_refused():
    with pytest.raises(ClipperException, match=r"cluster c .*'cache-bytes'.*query --store=x.: stop_all"):
        servers_of("c", ["query", "--store=x"])


def test_the_order_is_that_of_their_numbers():
    frontends = [Frontend({FRONTEND: f"frontend-{each}"}) for each in (10, 2, 0)]
    assert in_order(frontends) == frontends[::-1]


def test_a_local_cluster_refuses_another_number_and_says_how(tmp_path):
    manager = LocalContainerManager(home=tmp_path)
    with pytest.raises(ClipperException, match="call start_clipper"):
        manager.set_num_frontend_replicas(1)
    with pytest.raises(ClipperException, match="num_frontend_replicas"):
        manager.set_num_frontend_replicas(0)
