"""Replicas that hang, or are slower than others, under load; and a model that is asked for more than it can do."""

import http.client
import os
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipper.execution.hedging import HEDGE_SHARE
from tests.clipper_admin.managers.polling import eventually
from tests.integration.load import Load
from tests.integration.models import noting, slow
from tests.integration.processes import pids_of_replicas, stopped
from tests.integration.rest import ask, ask_batch, metrics, outputs, post

pytestmark = pytest.mark.cluster

FIRST_CREDIT = 16
"""Queries that may be sent twice before any was sent once."""


def of_model(query_addr, name):
    """A function from a metric of the model to its value now."""
    value = metrics(query_addr)
    return lambda metric: value(f"clipper_{metric}", model=name, version="1")


def connected(query_addr, name, replicas):
    eventually(lambda: of_model(query_addr, name)("replica_up") == replicas)


def wait_for_answers(load, more):
    goal = len(load.answers) + more
    eventually(lambda: len(load.answers) >= goal)


@pytest.mark.heavy
def test_a_replica_that_hangs_under_load_makes_nobody_late(clipper, serve, query_addr):
    """Its batch is sent to the other one as well; it goes back to work after that, and nothing is answered twice."""
    name = serve(slow(0.005), num_replicas=2, slo=2_000_000)
    connected(query_addr, name, 2)
    one, other = pids_of_replicas(clipper, name)
    with Load(query_addr, name) as load:
        wait_for_answers(load, 200)
        with stopped(one):
            wait_for_answers(load, 200)
        wait_for_answers(load, 200)
        with stopped(other):
            wait_for_answers(load, 200)
        wait_for_answers(load, 50)
    load.check()
    assert sorted(load.outputs()) == sorted(each.value for each in load.asked)
    value = metrics(query_addr)
    assert value("clipper_requests_total", app=name, outcome="ok") == len(load.asked)
    assert value("clipper_requests_total", app=name, outcome="default") == 0
    count = of_model(query_addr, name)
    assert 2 <= count("hedged_queries_total") <= FIRST_CREDIT + HEDGE_SHARE * count("predictions_total")
    eventually(lambda: of_model(query_addr, name)("inflight") == 0)


def kill(client):
    """As the kernel does for a process that dies with an answer unread, or a machine that is reset."""
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("leave", [kill, http.client.HTTPConnection.close], ids=["killed", "closed"])
def test_a_query_that_nobody_waits_for_is_not_worked_on(clipper, serve, query_addr, tmp_path, leave):
    """Behind a replica that hangs: of those whose client has left it gets what it was sent before, and no more."""
    name = serve(noting(str(tmp_path / "seen")), batch_size=1, slo=20_000_000)
    assert outputs([ask(query_addr, name, [-1.0])]) == [-1]
    (pid,) = pids_of_replicas(clipper, name)
    with stopped(pid):
        clients = [http.client.HTTPConnection(query_addr) for _ in range(40)]
        for number, client in enumerate(clients):
            client.request("POST", f"/{name}/predict", b'{"input": [%d]}' % number)
        eventually(lambda: sum(map(of_model(query_addr, name), ("queue_depth", "inflight"))) == 40)
        for client in clients:
            leave(client)
        eventually(lambda: metrics(query_addr)("clipper_cancelled_queries_total", app=name) == 40, timeout=3)
        count = of_model(query_addr, name)
        assert count("queue_depth") == 0
        assert count("inflight") <= 2
    assert outputs([ask(query_addr, name, [100.0])]) == [100]
    seen = [float(each) for each in (tmp_path / "seen").read_text().split()]
    assert len(seen) <= 2 + 2
    assert {-1.0, 100.0} <= set(seen)


def of_unequal_replicas(path):
    """The second replica takes four times as long; each notes what it answered in a file of its own."""

    def answer(xs):
        import time

        number = int(os.environ["CLIPPER_REPLICA_ID"])
        time.sleep(0.02 if number else 0.005)
        with open(f"{path}-{number}", "a") as file:
            file.write("x\n" * len(xs))
        return [str(sum(x)) for x in xs]

    return answer


@pytest.mark.heavy
def test_a_replica_four_times_slower_helps_and_makes_nobody_late(serve, query_addr, tmp_path):
    name = serve(of_unequal_replicas(str(tmp_path / "seen")), num_replicas=2, batch_size=1, slo=2_000_000)
    connected(query_addr, name, 2)
    with Load(query_addr, name) as load:
        wait_for_answers(load, 400)
    load.check()
    load.outputs()
    quick, slower = (len((tmp_path / f"seen-{each}").read_text().split()) for each in (0, 1))
    assert quick > slower > 20
    assert quick + slower <= len(load.asked) + of_model(query_addr, name)("hedged_queries_total")


def test_batching_that_changes_under_load_loses_and_repeats_nothing(clipper, serve, query_addr, tmp_path):
    name = serve(noting(str(tmp_path / "seen"), seconds=0.002))
    ways = [
        {"batch_size": 1},
        {"batch_size": 50, "batch_delay_micros": 3000},
        {"batch_size": -1, "batching": "quantile", "batch_delay_micros": -1},
        {"batching": "aimd", "batch_delay_micros": 0},
    ]
    with Load(query_addr, name, clients=8) as load:
        for way in [*ways, *ways]:
            clipper.set_batching(name, **way)
            wait_for_answers(load, 50)
    load.check()
    assert sorted(load.outputs()) == sorted(map(float, (tmp_path / "seen").read_text().split()))


def test_equal_queries_under_load_are_asked_once(serve, query_addr, tmp_path):
    """Eight clients ask the same inputs over and over."""
    name = serve(noting(str(tmp_path / "seen"), seconds=0.002))
    inputs = [[float(number)] for number in range(25)]
    with ThreadPoolExecutor(8) as pool:
        rounds = list(pool.map(lambda _: outputs(ask_batch(query_addr, name, inputs)), range(40)))
    assert rounds == [[number for (number,) in inputs]] * 40
    assert sorted(map(float, (tmp_path / "seen").read_text().split())) == [each for (each,) in inputs]


def test_five_times_more_than_a_model_can_do(serve, query_addr):
    """It takes 10 ms a query, and is asked ten every 20 ms, whatever was answered; each may take 100 ms."""
    slo, crowds = 0.1, 75
    name = serve(slow(0.01), batch_size=1, slo=int(slo * 1e6))
    assert outputs([ask(query_addr, name, [1000.0])]) == [1000]
    answers, late_starts = [], []
    begin = time.monotonic() + 0.1

    def crowd(number):
        due = begin + number * 0.02
        threading.Event().wait(max(0.0, due - time.monotonic()))  # the rate of those who ask, not of who answers
        late_starts.append(time.monotonic() - due)
        values = [[float(10 * number + each)] for each in range(10)]
        answers.extend(zip(values, ask_batch(query_addr, name, values), strict=True))

    with ThreadPoolExecutor(30) as pool:
        list(pool.map(crowd, range(crowds)))
    took = time.monotonic() - begin
    served = [(value, answer) for value, answer in answers if not answer["default"]]
    reasons = [answer["default_reason"] for _, answer in answers if answer["default"]]
    assert all(answer["output"] == value[0] for value, answer in served)
    assert len(served) + len(reasons) == 10 * crowds
    assert set(reasons) <= {"overload", "deadline"}
    assert reasons.count("overload") > 0.5 * len(answers)
    assert 0.6 * 100 * min(took, 0.02 * crowds) <= len(served) <= 100 * took + 10
    value = metrics(query_addr)
    for reason in ("overload", "deadline"):
        assert value("clipper_default_outputs_total", app=name, reason=reason) == reasons.count(reason)
    assert value("clipper_requests_total", app=name, outcome="ok") == len(served) + 1
    in_time = value("clipper_request_duration_seconds_bucket", app=name, le="0.128")
    assert in_time >= 0.95 * value("clipper_request_duration_seconds_count", app=name)
    assert of_model(query_addr, name)("queue_depth") == 0
    assert post(query_addr, f"/{name}/predict", {"input": [5000.0]}).json()["output"] == 5000
