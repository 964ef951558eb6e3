"""What went wrong with other prediction servers must not go wrong here: an index, and the tests found nowhere else.

The numbers are those of the list that was drawn up from the trackers and sources of the peers. Whoever moves a test
moves its name here; a test at the end of this file looks whether all are there.

1. Two models never share an answer, a hash is no proof, and headers are not part of a query.
   tests/integration/test_replicas.py::test_two_models_never_share_an_answer
   tests/integration/test_replicas.py::test_a_version_deployed_again_answers_anew
   tests/clipper/execution/test_executor.py::test_two_models_never_share_a_cached_output
   tests/clipper/execution/test_cache.py::test_keys_with_the_same_hash_do_not_answer_for_each_other
   tests/clipper/execution/test_faults.py::test_inputs_whose_hashes_collide_are_asked_both_and_each_has_its_own_output
   tests/integration/test_peers_failures.py::test_other_headers_and_other_json_are_the_same_query
2. Equal queries in flight call the model once; one that expired does not hold up its like.
   tests/integration/test_peers_failures.py::test_ten_clients_at_once_ask_the_model_once
   tests/integration/test_replicas.py::test_equal_queries_are_asked_once
   tests/integration/test_hedging.py::test_equal_queries_under_load_are_asked_once
   tests/integration/test_replicas.py::test_a_query_that_expired_does_not_block_its_like
   tests/integration/test_peers_failures.py::test_the_like_of_a_query_that_expired_is_asked_elsewhere
   tests/clipper/execution/test_executor.py::test_a_query_equal_to_one_that_hangs_is_sent_to_another_replica
   tests/clipper/execution/test_faults.py::test_a_flight_that_was_joined_after_its_time_is_one_of_its_own
3. A queue that became empty is no trouble, a full one sheds at once, and neither grows.
   tests/clipper/execution/test_queue.py::test_an_empty_queue_gives_an_empty_batch
   tests/clipper/execution/test_faults.py::test_a_queue_of_queries_that_were_all_abandoned_gives_an_empty_batch_and_no_place
   tests/clipper/execution/test_executor.py::test_a_full_queue_sheds_at_once
   tests/clipper/execution/test_faults.py::test_the_inputs_that_wait_are_bounded_in_bytes_but_one_always_may
   tests/clipper/execution/test_faults.py::test_a_full_queue_does_not_grow
   tests/integration/test_effects.py::test_the_queue_holds_as_many_as_it_may
4. Nothing is left of ten thousand clients that leave.
   tests/clipper/frontend/test_leaving.py::test_nothing_is_left_of_ten_thousand_queries_whose_clients_leave
   tests/clipper/test_processor.py::test_ten_thousand_clients_that_leave_leave_nothing_behind
   tests/clipper/frontend/test_http_framing.py::test_nothing_is_left_of_ten_thousand_exchanges
   tests/clipper/frontend/test_api.py::test_a_client_that_leaves_before_its_answer_abandons_its_queries
   tests/integration/test_frontends.py::test_clients_that_leave_leave_nothing_behind
   tests/integration/test_hedging.py::test_a_query_that_nobody_waits_for_is_not_worked_on
5. At low load batching costs nothing, at high load batches grow by themselves. (Milliseconds: benchmarks/.)
   tests/clipper/execution/test_faults.py::test_a_lone_query_never_waits_for_a_batch
   tests/integration/test_long_suite.py::test_a_learned_batch_size_rises_under_load
   tests/clipper/execution/test_batching.py::test_the_bound_grows_fast_where_batches_are_large
6. Batches are as large as before soon after one that took ten times as long.
   tests/clipper/execution/test_batching.py::test_one_hiccup_costs_a_tenth_at_most_and_is_over_soon
   tests/clipper/execution/test_latency.py::test_one_hiccup_changes_nothing
   tests/clipper/execution/test_faults.py::test_batches_are_as_large_as_before_soon_after_a_hiccup
7. The neighbours of a bad input are answered; a wrong number of outputs is told with both numbers.
   tests/integration/test_bad_models.py::test_the_neighbours_of_a_bad_input_are_answered
   tests/clipper/container/test_batch.py::test_culprits_fail_and_neighbours_are_answered
   tests/clipper/container/test_outputs.py::test_wrong_count_names_both_counts
   tests/integration/test_bad_models.py::test_what_a_model_does_wrong_fails_its_query_alone
8. What a model had when it died is answered by another in time, else by the default; the log has its last words.
   tests/integration/test_peers_failures.py::test_a_replica_killed_in_the_middle_of_a_batch_costs_nothing
   tests/integration/test_replicas.py::test_replicas_that_are_killed_cost_no_query
   tests/integration/test_replicas.py::test_without_another_replica_the_default_comes_at_once
   tests/integration/test_bad_models.py::test_the_batch_of_a_query_that_kills_its_container_is_answered
9. Every setting has an effect that can be seen.
   tests/integration/test_effects.py::test_every_setting_has_a_test_of_its_effect
10. Idle costs nothing.
   tests/integration/test_deadlines.py::test_idle_costs_nothing
   tests/integration/test_peers_failures.py::test_idle_processes_do_not_wake
   tests/clipper/container/test_serving.py::test_idle_container_does_not_wake
   tests/clipper/frontend/test_http_times.py::test_without_connections_there_is_no_timer
11. A clock that is set back changes no deadline.
   tests/test_clock.py::test_the_data_path_reads_no_clock_that_can_be_set
   tests/integration/test_peers_failures.py::test_a_clock_set_back_by_an_hour_changes_nothing
12. SIGTERM under load fails no query, readiness goes first; containers come back, and ids do not repeat.
   tests/integration/test_frontends.py::test_a_stop_under_load_loses_no_accepted_query
   tests/integration/test_peers_failures.py::test_from_sigterm_on_it_is_not_ready_and_answers_what_it_has
   tests/integration/test_frontends.py::test_query_ids_never_repeat
   tests/integration/test_local_manager.py::test_every_process_comes_back_after_kill_9
13. Defaults carry the reason, and the metric agrees.
   tests/integration/test_deadlines.py::test_a_default_says_why_in_answer_metric_and_log
   tests/clipper/test_processor.py::test_reasons_agree_in_answer_metric_and_log
   tests/integration/test_deadlines.py::test_what_can_not_be_answered_in_time_is_shed
   tests/integration/test_hedging.py::test_five_times_more_than_a_model_can_do
14. Feedback counts with the propensity of decision time: comes with feedback.
15. The Open Inference Protocol as its clients speak it: comes with that protocol.
"""

import ast
import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clipper_admin.deployers.python import deploy_python_closure
from tests.clipper_admin.managers.polling import eventually
from tests.integration.conftest import await_link
from tests.integration.index import exists
from tests.integration.models import adding, noting, slow
from tests.integration.processes import is_ready, pids_of, pids_of_replicas, stopped
from tests.integration.rest import ask, ask_batch, metrics, outputs, send

LATER = {14, 15}

cluster = pytest.mark.cluster


# -- 1, 2: the cache


@cluster
def test_other_headers_and_other_json_are_the_same_query(serve, query_addr, tmp_path):
    name = serve(noting(str(tmp_path / "seen")))
    path = f"/{name}/predict"
    forms = [
        (b'{"input": [1.0, 2.0]}', {}),
        (b'{"input": [1.0, 2.0]}', {"User-Agent": "another", "X-Request-ID": "7", "Cookie": "a=b"}),
        (b'{"input": [1.0, 2.0]}', {"Content-Type": "text/plain", "Cache-Control": "no-cache"}),
        (b'\n{"user_id": "me", "input":[1,2e0]}', {"Accept": "*/*"}),
    ]
    answers = [send(query_addr, "POST", path, body, headers) for body, headers in forms]
    assert outputs([each.json() for each in answers]) == [3] * 4
    assert (tmp_path / "seen").read_text().split() == ["3.0"]
    assert metrics(query_addr)("clipper_cache_lookups_total", model=name, version="1", result="hit") == 3


@cluster
def test_ten_clients_at_once_ask_the_model_once(serve, query_addr, tmp_path):
    name = serve(noting(str(tmp_path / "seen"), seconds=0.1))
    together = threading.Barrier(10)

    def client(_):
        together.wait(10)
        return ask(query_addr, name, [1.0, 2.0])

    with ThreadPoolExecutor(10) as pool:
        assert outputs(list(pool.map(client, range(10)))) == [3] * 10
    assert (tmp_path / "seen").read_text().split() == ["3.0"]
    value = metrics(query_addr)
    assert value("clipper_predictions_total", model=name, version="1") == 1
    assert value("clipper_requests_total", app=name, outcome="ok") == 10


@cluster
def test_the_like_of_a_query_that_expired_is_asked_elsewhere(clipper, serve, query_addr):
    """While the only replica hangs with the first one in its hands."""
    name = serve(adding(), slo=300_000)
    assert outputs([eventually(lambda: not (a := ask(query_addr, name, [1.0]))["default"] and a)]) == [1]
    (pid,) = pids_of_replicas(clipper, name)
    with stopped(pid):
        assert ask(query_addr, name, [2.0])["default_reason"] == "deadline"
        assert metrics(query_addr)("clipper_inflight", model=name, version="1") == 1
        clipper.set_num_replicas(name, 2)
        assert outputs([eventually(lambda: not (a := ask(query_addr, name, [2.0]))["default"] and a)]) == [2]


# -- 8: the death of a replica


def dying_once(path):
    """Says what it works on, then waits; whoever finds the note of another that has begun, answers at once."""

    def answer(xs):
        import os
        import sys
        import time

        if any(x[0] < 0 for x in xs) and not os.path.exists(path):
            sys.stderr.write(f"these are my last words about {len(xs)} inputs\n")
            with open(path + ".new", "w") as file:
                file.write(str(os.getpid()))
            os.rename(path + ".new", path)
            time.sleep(60)
        return [str(x[0]) for x in xs]

    return answer


@cluster
def test_a_replica_killed_in_the_middle_of_a_batch_costs_nothing(clipper, serve, query_addr, tmp_path):
    """It is not even waited for until its batch is overdue, which for a first one is half of the objective."""
    name = serve(dying_once(str(tmp_path / "pid")), num_replicas=2, batch_size=8, slo=20_000_000)
    eventually(lambda: metrics(query_addr)("clipper_replica_up", model=name, version="1") == 2)
    pids = pids_of(clipper, f"{name}_")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask_batch, query_addr, name, [[-1.0 - each] for each in range(8)])
        victim = int(eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
        os.kill(victim, signal.SIGKILL)
        killed = time.monotonic()
        assert outputs(asked.result(30)) == [-1.0 - each for each in range(8)]
        assert time.monotonic() - killed < 5
    value = metrics(query_addr)
    assert value("clipper_redispatched_queries_total", model=name, version="1") == 8
    assert value("clipper_hedged_queries_total", model=name, version="1") == 0
    (program,) = [each for each, pid in pids.items() if pid == victim]
    assert "these are my last words about 8 inputs" in clipper.cm.log_path(program).read_text()
    frontend = clipper.cm.log_path("query-frontend-0").read_text()
    assert f"lost contact with container {name}:1 (replica {program.rpartition('-')[2]}, pid {victim})" in frontend


# -- 10: idling

STORE_LOOKS = 20
"""A frontend asks the store so often in a second whether anything has changed: SQLite can not tell."""


def wakes(pid):
    """How often each thread of a process has gone to sleep of its own accord."""
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", each, re.MULTILINE)[1]) for each in statuses)


@cluster
@pytest.mark.heavy
def test_idle_processes_do_not_wake(start):
    """A query frontend looks at the store, uvicorn ten times a second whether to stop, a container every 5 s."""
    clipper = start("still")
    clipper.register_application("app", "doubles", "-1.0", 50_000)
    clipper.register_application("other", "doubles", "-1.0", 1_000_000)
    for app in ("app", "other"):
        deploy(clipper, app)
        await_link(clipper, app, "1")
        assert eventually(lambda app=app: not ask(clipper.get_query_addr(), app, [1.0])["default"])
    pids = pids_of(clipper)
    eventually(lambda: quiet(pids.values()))
    seconds, before = 2.0, {each: wakes(pid) for each, pid in pids.items()}
    time.sleep(seconds)  # nothing is raced: this is the time measured
    rates = {each: (wakes(pid) - before[each]) / seconds for each, pid in pids.items()}
    frontend = rates.pop("query-frontend-0")
    management = rates.pop("management-frontend")
    assert frontend <= 1.25 * STORE_LOOKS + 2
    assert management <= 1.25 * 10 + 2
    assert all(each <= 1 for each in rates.values()), rates


def deploy(clipper, app):
    deploy_python_closure(clipper, app, 1, "doubles", adding())
    clipper.link_model_to_app(app, app)


def quiet(pids):
    before = [wakes(pid) for pid in pids]
    time.sleep(0.2)
    return all(wakes(pid) - then <= 8 for pid, then in zip(pids, before, strict=True))


# -- 11: the clock

SET_BACK = """
import os, time

def behind(real, hour):
    return lambda: real() - (hour if os.path.exists({flag!r}) else 0)

time.time, time.time_ns = behind(time.time, 3600.0), behind(time.time_ns, 3600 * 10**9)
"""


@cluster
@pytest.mark.heavy
def test_a_clock_set_back_by_an_hour_changes_nothing(start, serve, monkeypatch, tmp_path):
    """In every process of a cluster, as far as Python tells it the time; ``tests/test_clock.py`` sees to the rest."""
    flag = tmp_path / "set-back"
    (tmp_path / "sitecustomize.py").write_text(SET_BACK.format(flag=str(flag)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])))
    clipper = start("clock")
    address = clipper.get_query_addr()
    quick = serve(adding(), "quick", slo=5_000_000, on=clipper)
    late = serve(slow(0.4), "late", slo=100_000, on=clipper)
    assert outputs([ask(address, quick, [1.0])]) == [1]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: (ask(address, late, [1.0]), time.monotonic()))
        began = time.monotonic()
        flag.touch()
        answer, ended = waiting.result(30)
    assert answer["default_reason"] == "deadline"
    assert 0.05 < ended - began < 2
    for number in range(30):
        assert outputs([ask(address, quick, [10.0 + number])]) == [10 + number]
    began = time.monotonic()
    assert ask(address, late, [2.0])["default_reason"] in ("deadline", "overload")
    assert time.monotonic() - began < 2
    clipper.register_application("after", "doubles", "-1.0", 5_000_000)
    clipper.link_model_to_app("after", quick)
    await_link(clipper, "after", "1")
    assert outputs([ask(address, "after", [1.5])]) == [1.5]
    assert len(clipper.get_all_model_replicas()) == 2


# -- 12: SIGTERM


@cluster
@pytest.mark.heavy
def test_from_sigterm_on_it_is_not_ready_and_answers_what_it_has(clipper, serve, query_addr):
    """Asked over connections on which something is under way, since the others are closed and nobody else gets in."""
    name = serve(slow(1.0))
    pid = pids_of(clipper, "query-frontend-0")["query-frontend-0"]
    log = clipper.cm.log_path("query-frontend-0")
    drains = log.read_text().count("draining: ")
    host, _, port = query_addr.rpartition(":")
    asking, probing = http.client.HTTPConnection(query_addr), socket.create_connection((host, int(port)), timeout=20)
    with probing:
        asking.request("POST", f"/{name}/predict", json.dumps({"input": [1.0]}))
        probing.sendall(b"GET /health/ready HTTP/1.1\r\n")
        eventually(lambda: metrics(query_addr)("clipper_inflight", model=name, version="1") == 1)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: log.read_text().count("draining: ") == drains + 1)
        probing.sendall(b"Host: h\r\n\r\n")
        response = http.client.HTTPResponse(probing)
        response.begin()
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert json.loads(response.read())["ready"] is False
    answered = asking.getresponse()
    assert answered.headers["Connection"] == "close"
    assert outputs([json.loads(answered.read())]) == [1]
    eventually(lambda: is_ready(query_addr))
    assert pids_of(clipper, "query-frontend-0")["query-frontend-0"] != pid


# -- the index


def test_the_index_is_whole_and_every_test_of_it_exists():
    tree = ast.parse(Path(__file__).read_text())
    index = ast.get_docstring(tree)
    numbers = [int(each) for each in re.findall(r"^(\d+)\. ", index, re.MULTILINE)]
    assert numbers == list(range(1, 16))
    sections = re.split(r"^\d+\. ", index, flags=re.MULTILINE)[1:]
    for number, section in zip(numbers, sections, strict=True):
        names = re.findall(r"^\s+(tests/\S+)$", section, re.MULTILINE)
        assert bool(names) == (number not in LATER), number
        for name in names:
            assert exists(name), name
