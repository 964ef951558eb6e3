"""The engine is stopped and started again, with everything that runs in it: the cluster comes back by itself."""

import subprocess
import sys

import pytest

from clipper_admin import ClipperConnection
from clipper_admin.managers.docker_parts import QUERY_FRONTEND
from tests.clipper_admin.managers.polling import eventually
from tests.docker import engine
from tests.docker.chaos import Feeders, all_ready, cluster, containers, inspect, kept, load, more, serve
from tests.docker.test_manager import manager

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def published(clipper):
    return {each: inspect(each)["HostConfig"]["PortBindings"] for each in containers(clipper, QUERY_FRONTEND)}


def restart_engine():
    for action in ("stop", "start"):
        subprocess.run([sys.executable, "-m", "tests.docker.engine", action], check=True, timeout=120)


def test_the_engine_is_restarted(tmp_path):
    if engine.started_pid() is None:
        pytest.skip("the engine was not started by the tests, and is not theirs to stop")
    with cluster("restarted", tmp_path / "home", num_frontend_replicas=2) as clipper:
        serve(clipper, "app", replicas=2, policy="thompson")
        addresses, ports = clipper.cm.get_query_addrs(), published(clipper)
        registered = clipper.get_all_apps(verbose=True), clipper.get_all_models(verbose=True)
        with load(clipper, "app") as loads:
            with Feeders("app", [(addresses[0], addresses[1])]) as feeders:
                feeders.more()
            restart_engine()
            eventually(lambda: all_ready(clipper), timeout=90)
            more(*loads.values())
        for each in loads.values():
            each.check()
            assert {one.status for one in each.asked} == {200, 0}
            assert {one.answer["default_reason"] for one in each.answers if one.answer["default"]} <= {"no_replica"}
        assert published(clipper) == ports
        other = ClipperConnection(manager(clipper.cm.cluster_identifier))
        other.connect()
        assert (other.get_all_apps(verbose=True), other.get_all_models(verbose=True)) == registered
        assert other.cm.get_query_addrs() == clipper.cm.get_query_addrs() == addresses
        assert sorted(kept(other, "app", tmp_path / "kept.jsonl")) == sorted(feeders.given)
        clipper.set_num_replicas("app", 3)
