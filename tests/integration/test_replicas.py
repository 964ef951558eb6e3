"""What DESIGN section 4 promises of replicas and versions, under load: every query has one answer, its own."""

import os
import signal
import time

import pytest

from clipper_admin.deployers.python import deploy_python_closure
from tests.clipper_admin.managers.polling import eventually
from tests.integration.load import Load
from tests.integration.models import adding, answering, noting, slow
from tests.integration.rest import ask, ask_batch, metrics, outputs

pytestmark = pytest.mark.cluster


def pids_of(clipper, name):
    return {each.program: each.pid for each in clipper.cm.process_table() if each.program.startswith(f"{name}_")}


def replicas_up(query_addr, name, version="1"):
    return metrics(query_addr)("clipper_replica_up", model=name, version=version)


def wait_for_answers(load, more):
    goal = len(load.answers) + more
    eventually(lambda: len(load.answers) >= goal)


def test_replicas_that_are_killed_cost_no_query(clipper, serve, query_addr):
    name = serve(slow(0.005), num_replicas=3)
    eventually(lambda: replicas_up(query_addr, name) == 3)
    with Load(query_addr, name, clients=6) as load:
        for pid in list(pids_of(clipper, name).values())[:2]:
            wait_for_answers(load, 50)
            os.kill(pid, signal.SIGKILL)
        wait_for_answers(load, 50)
        eventually(lambda: replicas_up(query_addr, name) == 3)
        for _ in range(20):  # where clients are slow, a replica may have been idle when it was killed
            if redispatched(query_addr, name):
                break
            os.kill(next(iter(pids_of(clipper, name).values())), signal.SIGKILL)
            wait_for_answers(load, 50)
            eventually(lambda: replicas_up(query_addr, name) == 3)
        wait_for_answers(load, 50)
    load.check()
    load.outputs()
    value = metrics(query_addr)
    assert value("clipper_requests_total", app=name, outcome="ok") == len(load.asked)
    assert value("clipper_requests_total", app=name, outcome="default") == 0
    assert redispatched(query_addr, name) >= 1


def redispatched(query_addr, name):
    return metrics(query_addr)("clipper_redispatched_queries_total", model=name, version="1")


def test_without_another_replica_the_default_comes_at_once(clipper, serve, query_addr):
    name = serve(slow(0.005))
    with Load(query_addr, name) as load:
        wait_for_answers(load, 20)
        (killed,) = pids_of(clipper, name).values()
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: load.answers[-1].answer["default"])
        eventually(lambda: not load.answers[-1].answer["default"])
        wait_for_answers(load, 20)
    load.check()
    assert load.answers == load.asked
    defaults = [each for each in load.answers if each.answer["default"]]
    assert {each.answer["default_reason"] for each in defaults} == {"no_replica"}
    assert max(each.ended - each.began for each in defaults) < 1  # and not after the 10 s of the objective
    reasons = metrics(query_addr)("clipper_default_outputs_total", app=name, reason="no_replica")
    assert reasons == len(defaults)


def test_a_replica_that_hangs_costs_only_what_it_holds(clipper, serve, query_addr):
    name = serve(adding(), num_replicas=2, slo=1_000_000, batch_size=1)
    eventually(lambda: replicas_up(query_addr, name) == 2)
    hanging = next(iter(pids_of(clipper, name).values()))
    os.kill(hanging, signal.SIGSTOP)
    try:
        with Load(query_addr, name) as load:
            wait_for_answers(load, 200)
    finally:
        os.kill(hanging, signal.SIGCONT)
    load.check()
    late = [each for each in load.asked if each.answer["default"]]
    assert {each.answer["default_reason"] for each in late} <= {"deadline"}
    assert len(late) <= 2  # as many batches as are sent to one replica at a time
    assert load.answers == load.asked
    eventually(lambda: outputs([ask(query_addr, name, [5.0])]) == [5])


def test_scaling_under_load_costs_no_query(clipper, serve, query_addr):
    name = serve(slow(0.005), num_replicas=2)
    with Load(query_addr, name) as load:
        for wanted in (1, 3, 2):
            wait_for_answers(load, 30)
            clipper.set_num_replicas(name, wanted)
        wait_for_answers(load, 30)
    load.check()
    load.outputs()


def latest_of_each(load):
    """The output that each of the four clients was answered last."""
    latest = {each.client: each.answer["output"] for each in list(load.answers)}
    return [latest.get(client) for client in range(4)]


def test_a_new_version_and_a_roll_back_show_no_default(clipper, serve, query_addr):
    name = serve(answering("1"))
    with Load(query_addr, name) as load:
        wait_for_answers(load, 30)
        deploy_python_closure(clipper, name, 2, "doubles", answering("2"))
        deployed = time.monotonic()
        wait_for_answers(load, 30)
        eventually(lambda: latest_of_each(load) == [2] * 4)
        clipper.set_model_version(name, 1)
        rolled_back = time.monotonic()
        eventually(lambda: latest_of_each(load) == [1] * 4)
        wait_for_answers(load, 30)
    load.outputs()
    for client in range(4):
        seen = [each.answer["output"] for each in load.answers if each.client == client]
        changes = [new for old, new in zip([None, *seen], seen, strict=False) if new != old]
        assert changes == [1, 2, 1]
    # A frontend has noticed a change within 100 ms; the rest is patience with a busy machine.
    assert all(each.answer["output"] == 2 for each in load.asked if deployed + 1 < each.began < rolled_back)
    assert all(each.answer["output"] == 1 for each in load.asked if each.began > rolled_back + 1)


def test_two_models_never_share_an_answer(serve, query_addr, unique):
    one, two = serve(answering("1"), f"{unique}-a"), serve(answering("2"), f"{unique}-b")
    for _ in range(3):
        assert [ask(query_addr, name, [1.0])["output"] for name in (one, two)] == [1, 2]
    assert metrics(query_addr)("clipper_cache_lookups_total", model=one, version="1", result="hit") == 2


def test_a_version_deployed_again_answers_anew(clipper, serve, query_addr):
    name = serve(answering("1"))
    assert [ask(query_addr, name, [1.0])["output"] for _ in range(2)] == [1, 1]
    clipper.stop_versioned_models({name: [1]})
    deploy_python_closure(clipper, name, 1, "doubles", answering("anew"))
    eventually(lambda: not ask(query_addr, name, [2.0])["default"])
    assert ask(query_addr, name, [1.0])["output"] == "anew"


def test_equal_queries_are_asked_once(serve, query_addr, tmp_path):
    name = serve(noting(str(tmp_path / "seen"), seconds=0.05))
    assert outputs(ask_batch(query_addr, name, [[1.0, 2.0]] * 10)) == [3] * 10
    assert outputs([ask(query_addr, name, [1.0, 2.0])]) == [3]
    assert (tmp_path / "seen").read_text().split() == ["3.0"]


def test_a_query_that_expired_does_not_block_its_like(serve, query_addr):
    def slow_at_first(xs, calls=[]):  # noqa: B006 - it is to remember
        import time

        calls.append(1)
        time.sleep(0.4 if len(calls) == 1 else 0)
        return [str(len(calls)) for _ in xs]

    name = serve(slow_at_first, slo=100_000)
    assert ask(query_addr, name, [1.0])["default_reason"] == "deadline"
    # The late answer is kept, so that the same query is answered from the cache afterwards.
    assert eventually(lambda: not (a := ask(query_addr, name, [1.0]))["default"] and a["output"]) >= 1
