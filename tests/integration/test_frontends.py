"""What DESIGN section 4 promises of the frontends: a stop loses no accepted query, a crash no state."""

import http.client
import os
import signal
import time

import psutil
import pytest

from tests.clipper_admin.managers.polling import eventually
from tests.integration.conftest import await_link
from tests.integration.load import Load
from tests.integration.models import adding, noting, slow
from tests.integration.rest import ask, metrics, outputs, post, send

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def pair(start):
    """A cluster whose query port is shared by two frontends."""
    return start("pair", num_frontend_replicas=2)


@pytest.fixture(params=["one frontend", "two frontends"])
def cluster(request, clipper, pair):
    return clipper if request.param == "one frontend" else pair


def pid_of(clipper, program):
    return {each.program: each.pid for each in clipper.cm.process_table()}[program]


def end(clipper, program, number):
    """Signals a program; returns the pid it had. Supervisor starts it again."""
    pid = pid_of(clipper, program)
    os.kill(pid, number)
    return pid


def listens(clipper, program):
    port = int(clipper.get_query_addr().rpartition(":")[2])
    try:
        sockets = psutil.Process(pid_of(clipper, program)).net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets)


def restarted(clipper, program, before):
    return eventually(lambda: (pid := pid_of(clipper, program)) not in (0, before) and pid)


def wait_for_answers(load, more):
    goal = len(load.answers) + more
    eventually(lambda: len(load.answers) >= goal)


def deploy_behind(clipper, serve, function):
    """Serves a function once every frontend is up: one that another test has killed may be on its way back."""
    name = serve(function, on=clipper)
    frontends = clipper.cm.programs().count("query-frontend-1") + 1
    eventually(lambda: all(listens(clipper, f"query-frontend-{each}") for each in range(frontends)))
    await_link(clipper, name, "1", times=1 if frontends == 1 else 30)
    return name


def test_a_stop_under_load_loses_no_accepted_query(cluster, serve, tmp_path):
    """The model notes every input it gets: a query it was asked was accepted, and must be answered."""
    name = deploy_behind(cluster, serve, noting(str(tmp_path / "seen"), seconds=0.005))
    address = cluster.get_query_addr()
    with Load(address, name, clients=6) as load:
        wait_for_answers(load, 100)
        before = end(cluster, "query-frontend-0", signal.SIGTERM)
        restarted(cluster, "query-frontend-0", before)
        eventually(lambda: not load.answers[-1].answer["default"])
        wait_for_answers(load, 100)
    load.check()
    accepted = set(map(float, (tmp_path / "seen").read_text().split()))
    answered = {each.value for each in load.answers if not each.answer["default"]}
    assert accepted == answered
    assert {each.status for each in load.asked} <= {200, 503, 0}
    defaults = {each.answer["default_reason"] for each in load.answers if each.answer["default"]}
    assert defaults == set(), "the new process waits for its containers before it opens its port"


def test_a_killed_frontend_loses_nothing_but_its_connections(pair, serve):
    name = deploy_behind(pair, serve, adding())
    address = pair.get_query_addr()
    with Load(address, name, clients=8) as load:
        wait_for_answers(load, 100)
        before = end(pair, "query-frontend-1", signal.SIGKILL)
        wait_for_answers(load, 100)
        restarted(pair, "query-frontend-1", before)
        eventually(lambda: not load.answers[-1].answer["default"])
        wait_for_answers(load, 100)
    load.check()
    assert len(load.broken) <= 2 * 8  # a connection that broke, and one that was refused in its stead
    assert {each.status for each in load.asked} <= {200, 0}


def test_both_frontends_answer_and_their_metrics_add_up(pair, serve):
    name = deploy_behind(pair, serve, adding())
    address = pair.get_query_addr()
    for number in range(60):  # each on a connection of its own
        assert outputs([ask(address, name, [float(number)])]) == [number]
    for _ in range(10):  # whichever answers, it tells of both
        value = metrics(address)
        assert value("clipper_requests_total", app=name, outcome="ok") == 60
        assert value("clipper_predictions_total", model=name, version="1") == 60
        assert value("clipper_frontends_up") == 2
        assert value("clipper_replica_up", model=name, version="1") == 1
    (replica,) = [each for each in pair.get_all_model_replicas(verbose=True) if each["model_name"] == name]
    assert replica["frontends"] == ["frontend-0", "frontend-1"]
    log = [pair.cm.log_path(f"query-frontend-{each}").read_text() for each in (0, 1)]
    assert all(f"connected: container {name}:1" in each for each in log)


def test_query_ids_never_repeat(cluster, serve):
    name = deploy_behind(cluster, serve, adding())
    address, ids = cluster.get_query_addr(), []

    def take(count):
        for _ in range(count):
            ids.append(ask(address, name, [1.0])["query_id"])

    for number in (signal.SIGTERM, signal.SIGKILL):
        take(20)
        before = end(cluster, "query-frontend-0", number)
        restarted(cluster, "query-frontend-0", before)
        eventually(lambda: answers(address))
    take(20)
    assert len(set(ids)) == 60
    assert max(ids) < 2**53


def answers(address):
    try:
        return send(address, "GET", "/health/ready").status == 200
    except OSError:
        return False


def test_everything_registered_survives_the_death_of_every_server(clipper, serve):
    name = serve(adding())
    clipper.register_model(name, "other", "doubles", labels=["kept"], batch_size=3)
    clipper.set_model_version(name, 1)
    address, admin = clipper.get_query_addr(), clipper.cm.get_admin_addr()
    registered = clipper.get_all_apps(verbose=True), clipper.get_all_models(verbose=True)
    for program in ("management-frontend", "query-frontend-0"):
        before = end(clipper, program, signal.SIGKILL)
        restarted(clipper, program, before)
    eventually(lambda: answers(address) and answers(admin))
    assert (clipper.get_all_apps(verbose=True), clipper.get_all_models(verbose=True)) == registered
    eventually(lambda: not ask(address, name, [1.0, 2.0])["default"])
    assert outputs([ask(address, name, [1.5, 2.0])]) == [3.5]


def test_what_was_acknowledged_survives_a_kill_at_that_moment(clipper, unique):
    """Killed right after its answer, the management frontend has nothing left to write."""
    admin, pid = clipper.cm.get_admin_addr(), pid_of(clipper, "management-frontend")
    app = {"name": unique, "input_type": "d", "default_output": "d", "latency_slo_micros": 10}
    assert post(admin, "/admin/add_app", app).status == 200
    os.kill(pid, signal.SIGKILL)
    restarted(clipper, "management-frontend", pid)
    eventually(lambda: answers(admin))
    assert unique in clipper.get_all_apps()


def test_a_registration_is_noticed_within_100_ms(clipper, unique, query_addr, admin_addr):
    """The middle of several: a single one may hit a busy moment of the machine."""
    took = []
    for each in range(7):
        app = {"name": f"{unique}-{each}", "input_type": "d", "default_output": "d", "latency_slo_micros": 10}
        assert post(admin_addr, "/admin/add_app", app).status == 200
        began = time.monotonic()
        eventually(lambda app=app: post(query_addr, f"/{app['name']}/predict", {"input_batch": []}).status == 200)
        took.append(time.monotonic() - began)
    assert sorted(took)[3] < 0.1


def test_clients_that_leave_leave_nothing_behind(serve, query_addr):
    name = serve(slow(0.02), slo=1_000_000)
    for number in range(60):
        connection = http.client.HTTPConnection(query_addr)
        connection.request("POST", f"/{name}/predict", b'{"input": [%d]}' % number)
        connection.close()
    eventually(lambda: metrics(query_addr)("clipper_inflight", model=name, version="1") == 0)
    assert metrics(query_addr)("clipper_queue_depth", model=name, version="1") == 0
    assert outputs([ask(query_addr, name, [1000.0])]) == [1000]
