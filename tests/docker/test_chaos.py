"""A cluster in Docker is harmed under load: no answer is lost, wrong, or a default without its true reason."""

import pytest

from clipper_admin import ClipperConnection
from clipper_admin.managers.docker_parts import QUERY_FRONTEND, REDIS_PORT
from tests.clipper_admin.managers.polling import eventually
from tests.docker.chaos import (
    Feeders,
    all_ready,
    cluster,
    containers,
    frontend_at,
    kept,
    kill,
    load,
    more,
    paused,
    reasons,
    replicas,
    seen_by,
    serve,
    started_again,
)
from tests.docker.containers import docker
from tests.docker.test_manager import manager
from tests.integration.load import Load
from tests.integration.models import noting
from tests.integration.rest import post, refusal, send

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with cluster("chaos", tmp_path_factory.mktemp("home"), num_frontend_replicas=2) as connection:
        yield connection


@pytest.fixture
def clipper(running):
    """With both query frontends, whatever the test before has left."""
    eventually(lambda: len(running.cm.get_query_addrs()) == 2 and all_ready(running), timeout=60)
    yield running
    running.stop_all_model_containers()


def store_of(address):
    """What a frontend says of the store."""
    return send(address, "GET", "/health/ready").json()["store"]


def test_the_only_replica_is_killed(clipper):
    serve(clipper, "lone")
    (victim,) = replicas(clipper, "lone")
    with load(clipper, "lone") as loads:
        kill(victim)
        eventually(lambda: started_again(victim), timeout=60)
        more(*loads.values())
    assert {each for one in loads.values() for each in reasons(one)} == {"no_replica"}


def test_one_of_two_replicas_is_killed(clipper):
    serve(clipper, "pair", replicas=2)
    victim = replicas(clipper, "pair")[0]
    with load(clipper, "pair") as loads:
        kill(victim)
        eventually(lambda: started_again(victim), timeout=60)
        more(*loads.values())
    assert [reasons(each) for each in loads.values()] == [set(), set()]


def test_a_straggler_is_passed_by(clipper):
    """It is given another's queries to no end: each of the two replicas hangs for a while."""
    serve(clipper, "slow", replicas=2, slo=2_000_000)
    with load(clipper, "slow") as loads:
        for straggler in replicas(clipper, "slow"):
            with paused(straggler):
                more(*loads.values(), answers=200)
            more(*loads.values())
    for each in loads.values():
        assert reasons(each) <= {"deadline", "overload"}
        defaults = [one for one in each.answers if one.answer["default"]]
        assert len(defaults) <= 20, "those that were with the straggler, and no more of them could be sent twice"
        assert max(one.ended - one.began for one in each.asked) < 2.5


def test_one_of_two_query_frontends_is_killed(clipper):
    serve(clipper, "front", policy="thompson")
    first, second = clipper.cm.get_query_addrs()
    victim = frontend_at(clipper, second)
    with load(clipper, "front") as loads, Feeders("front", [(first, first)] * 2) as feeders:
        kill(victim)
        more(loads[first], answers=200)
        eventually(lambda: started_again(victim), timeout=60)
        more(*loads.values())
        feeders.more()
    assert reasons(loads[first]) == set()
    loads[second].check()
    assert {each.status for each in loads[second].asked} == {200, 0}
    assert not [each for each in loads[second].answers if each.answer["default"]]
    assert feeders.refused == []


def test_redis_is_killed(clipper, tmp_path):
    """Once it is started again by the engine at once; once it is away until somebody starts it."""
    serve(clipper, "kept", policy="thompson")
    first, second = clipper.cm.get_query_addrs()
    (redis,) = containers(clipper, REDIS_PORT)
    pairs = [(first, first), (second, second)]
    with load(clipper, "kept") as loads, Feeders("kept", pairs) as feeders:
        feeders.more()
        kill(redis)
        eventually(lambda: started_again(redis), timeout=60)
        feeders.more()
        docker("kill", redis)
        try:
            for address in loads:
                eventually(lambda address=address: store_of(address) == "unreachable")
            more(*loads.values(), answers=100)
            body = {"label": 1, "input": [1.0]}
            # First that it does not answer, where a call was under way to an address that nobody has any more.
            eventually(lambda: "can't be reached" in refusal(post(first, "/kept/update", body), 503), timeout=30)
        finally:
            docker("start", redis)
        for address in loads:
            eventually(lambda address=address: store_of(address) == "reachable")
        feeders.more()
    assert [reasons(each) for each in loads.values()] == [set(), set()]
    assert {each.status for each in feeders.refused} == {503}
    assert sorted(kept(clipper, "kept", tmp_path / "kept.jsonl")) == sorted(feeders.given)


def test_feedback_through_the_other_frontend_is_never_lost(clipper, tmp_path):
    serve(clipper, "learned", policy="hedge")
    first, second = clipper.cm.get_query_addrs()
    pairs = [(first, second), (second, first)] * 2
    with load(clipper, "learned", clients=1) as loads, Feeders("learned", pairs) as feeders:
        feeders.more(150)
    assert [reasons(each) for each in loads.values()] == [set(), set()]
    assert feeders.refused == []
    assert sorted(kept(clipper, "learned", tmp_path / "learned.jsonl")) == sorted(feeders.given)


def test_query_frontends_are_added_and_removed(clipper):
    """The model notes its inputs: a query that came so far was accepted, and must have been answered."""
    serve(clipper, "grown", replicas=2, function=noting("/tmp/seen"))
    first, second = clipper.cm.get_query_addrs()
    before = ClipperConnection(manager(clipper.cm.cluster_identifier))
    before.connect()
    with load(clipper, "grown") as loads:
        clipper.set_num_frontend_replicas(3)
        *same, third = clipper.cm.get_query_addrs()
        assert same == [first, second]
        with Load(third, "grown", clients=3) as added:
            more(added)
            clipper.set_num_frontend_replicas(1)
        more(loads[first])
    assert reasons(loads[first]) == set()
    for each in (loads[second], added):
        each.check()
        assert not [one for one in each.answers if one.answer["default"]]
        assert {one.status for one in each.asked} <= {200, 0}
    seen = set().union(*(seen_by(each, "/tmp/seen") for each in replicas(clipper, "grown")))
    answered = {one.value for each in (*loads.values(), added) for one in each.answers}
    assert len(answered) > 300
    assert seen - {1.0} <= answered
    assert before.cm.get_query_addrs() == clipper.cm.get_query_addrs() == [first]
    assert len(containers(clipper, QUERY_FRONTEND)) == 1
    clipper.set_num_frontend_replicas(2)
    before.set_num_replicas("grown", 3)
    eventually(  # the reports of removed frontends hold for a while
        lambda: all(
            each["frontends"] == ["frontend-0", "frontend-1"] for each in clipper.get_all_model_replicas(verbose=True)
        ),
        timeout=30,
    )
