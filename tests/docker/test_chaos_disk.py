"""The disk of the cluster's Redis is full: feedback is refused until there is space, and queries are answered."""

import pytest

from clipper_admin.managers.docker_parts import REDIS_PORT, volume_name
from tests.clipper_admin.managers.polling import eventually
from tests.docker.chaos import RUN, Feeders, cluster, containers, kept, load, more, reasons, serve, started_again
from tests.docker.clusters import IMAGES
from tests.docker.containers import Container, docker
from tests.integration.rest import refusal

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
NAME = "full"


@pytest.fixture
def disk():
    """A container that holds the volume, of 8 MiB, in which Redis will write."""
    volume = volume_name(f"{NAME}-{RUN}")
    options = [f"--opt={each}" for each in ("type=tmpfs", "device=tmpfs", "o=size=8m,mode=1777")]
    docker("volume", "create", *options, volume)
    holder = docker("run", "--detach", "--volume", f"{volume}:/disk", IMAGES["redis_image"], "sleep", "600")
    yield holder
    docker("rm", "--force", holder)
    docker("volume", "rm", volume)


def fill(disk):
    """Leaves not one byte free."""
    docker("exec", disk, "sh", "-c", "dd if=/dev/zero of=/disk/filler bs=4k 2>/dev/null || true")


def test_a_full_disk_refuses_feedback_and_serves_on(disk, tmp_path):
    with cluster(NAME, tmp_path / "home") as clipper:
        serve(clipper, "app", policy="thompson")
        (address,) = clipper.cm.get_query_addrs()
        (redis,) = containers(clipper, REDIS_PORT)
        with load(clipper, "app") as loads, Feeders("app", [(address, address)] * 2) as feeders:
            feeders.more()
            fill(disk)
            eventually(lambda: started_again(redis), timeout=60)
            eventually(lambda: len(feeders.refused) >= 10, timeout=60)
            more(loads[address], answers=200)
            docker("exec", disk, "rm", "/disk/filler")
            feeders.more()
        assert reasons(loads[address]) == set()
        causes = {refusal(each, 503) for each in feeders.refused}
        assert any("its log says why (a full disk, for one)" in each for each in causes), causes
        assert "Can't recover from AOF write error" in Container(redis).logs()
        assert sorted(kept(clipper, "app", tmp_path / "kept.jsonl")) == sorted(feeders.given)
