"""What a cluster that is taken up again, or is found by another session, still has of its first start."""

import json

import pytest

from clipper_admin import ClipperConnection
from clipper_admin.managers.docker_parts import MODEL
from tests.clipper_admin.managers.polling import eventually
from tests.docker.clusters import adding, ids, manager, running, serve
from tests.docker.containers import docker
from tests.integration.rest import ask

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def again(name, **options):
    connection = ClipperConnection(manager(name, prometheus_image=None, **options))
    connection.start_clipper()
    return connection


def memory_of(replica):
    return int(docker("inspect", "--format={{.HostConfig.Memory}}", replica))


def test_every_query_frontend_has_its_ports_again():
    with running("ported") as clipper:
        clipper.set_num_frontend_replicas(3)
        before = clipper.cm.get_query_addrs()
        assert len(set(before)) == 3
        clipper.stop_all(keep_state=True)
        assert again("ported").cm.get_query_addrs()[1:] == before[1:]  # of the first another was asked for


def test_replicas_of_other_sessions_are_given_what_the_first_were():
    with running("given-on", extra_container_kwargs={"mem_limit": "300m"}) as clipper:
        serve(clipper, "sums", adding(1))
        other = ClipperConnection(manager("given-on"))
        other.connect()
        other.set_num_replicas("sums", 2)
        other.set_num_frontend_replicas(2)
        assert {memory_of(each) for each in ids("given-on")} == {300 << 20}


def test_kept_replicas_come_up_as_the_cluster_does():
    with running("changed") as clipper:
        serve(clipper, "sums", adding(1))
        clipper.stop_all(keep_state=True)
        (kept,) = ids("changed", f"{MODEL}=sums_1")
        same = again("changed")
        assert ids("changed", f"{MODEL}=sums_1") == [kept]
        same.stop_all(keep_state=True)
        other = again("changed", log_format="json", extra_container_kwargs={"mem_limit": "400m"})
        (anew,) = ids("changed", f"{MODEL}=sums_1")
        assert memory_of(anew) == 400 << 20
        eventually(lambda: ask(other.get_query_addr(), "sums", [1.0])["output"] == 2.0, timeout=60)
        lines = [line for _, line in other.cm.log_lines("sums_1-0", 1000, False)]
        assert any(json.loads(each)["message"].startswith("Connected to") for each in lines)
