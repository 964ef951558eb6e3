"""Frontends that share a Redis: one cluster, whichever is asked, whichever of them or Redis itself is killed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import psutil
import pytest

from clipper.store.opening import open_journal
from tests.clipper_admin.managers.polling import eventually
from tests.integration.load import Load
from tests.integration.processes import is_ready
from tests.integration.redis_cluster import RedisCluster
from tests.integration.rest import ask, metrics, outputs, post, refusal

pytestmark = pytest.mark.cluster

_values = count(1_000_000)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = RedisCluster(tmp_path_factory.mktemp("redis-cluster"))
    yield cluster
    cluster.close()


@pytest.fixture
def app(cluster, unique):
    return cluster.serve(unique)


def query(address, app):
    """A query that nobody asked before: its id, and the label it should have."""
    value = float(next(_values))
    answer = ask(address, app, [value])
    assert not answer["default"]
    return answer["query_id"], value


def feed(address, app, query_id, label):
    return post(address, f"/{app}/update", {"query_id": query_id, "label": label})


def feed_until_taken(address, app, query_id, label):
    """As an application does that must not lose it: refused feedback is sent again. How often that was."""
    deadline = time.monotonic() + 60
    for refused in count():
        answer = feed(address, app, query_id, label)
        if answer.status == 200:
            return refused
        assert answer.status == 503, answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)  # as an application waits, to be kind; nothing depends on it


def times_told(cluster):
    """How often each frontend's log says that the store is away."""
    return [cluster.log(f"frontend-{number}").count("the store is out of reach") for number in range(2)]


def feedbacks(cluster, app):
    return cluster.admin("get_selection_state", app_name=app).json()["feedbacks"]


def test_both_frontends_answer_and_either_takes_feedback(cluster, app):
    one, other = cluster.addresses
    for first, second in ((one, other), (other, one)):
        query_id, value = query(first, app)
        assert feed(second, app, query_id, value).json() == {
            "accepted": True,
            "query_id": query_id,
            "losses": {"m:1": 0.0},
        }
        assert feed(first, app, query_id, value).json() == {"accepted": False, "duplicate": True}
    assert feedbacks(cluster, app) == 2


@pytest.mark.heavy
def test_no_update_is_lost_when_both_learn_at_once(cluster, app):
    def one(number):
        query_id, value = query(cluster.addresses[number % 2], app)
        return feed(cluster.addresses[number // 2 % 2], app, query_id, value).json()["accepted"]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(300)))
    assert feedbacks(cluster, app) == 300
    for address in cluster.addresses:
        eventually(lambda address=address: metrics(address)("clipper_policy_weight", app=app, model="m") == 1)


def test_what_is_registered_is_there_at_once(cluster, unique):
    cluster.admin("add_app", name=unique, input_type="d", default_output="d", latency_slo_micros=10)
    for address in cluster.addresses:
        assert post(address, f"/{unique}/predict", {"input_batch": []}).status == 200


def test_what_is_registered_while_all_connections_break_is_there_too(cluster, unique):
    """They are made anew, and what came in between is read then."""
    with cluster.redis.client() as client:
        for number in range(10):
            client.client_kill_filter(_type="normal", skipme=True)
            name = f"{unique}-{number}"
            cluster.admin("add_app", name=name, input_type="d", default_output="d", latency_slo_micros=10)
            for address in cluster.addresses:
                eventually(lambda a=address, n=name: post(a, f"/{n}/predict", {"input_batch": []}).status == 200)
            cluster.admin("delete_app", name=name)


@pytest.mark.heavy
def test_redis_is_killed_under_load_and_nothing_acknowledged_is_lost(cluster, app):
    """No answer is missing or a default because of it; feedback is refused meanwhile, and counts once in the end."""
    stop = threading.Event()
    given = []
    before = times_told(cluster)

    def keep_feeding(number):
        while not stop.is_set():
            query_id, value = query(cluster.addresses[number % 2], app)
            # The other one, which was not told of decisions of the time without Redis before it came back.
            refused = feed_until_taken(cluster.addresses[1 - number % 2], app, query_id, value)
            given.append((query_id, refused))

    with (
        Load(cluster.addresses[0], app) as one,
        Load(cluster.addresses[1], app) as other,
        ThreadPoolExecutor(4) as pool,
    ):
        feeding = [pool.submit(keep_feeding, number) for number in range(4)]
        eventually(lambda: len(given) > 100)
        query_id, value = query(cluster.addresses[0], app)
        cluster.redis.kill()
        for address in cluster.addresses:
            eventually(lambda address=address: len(cluster.readiness(address).get("degraded", ())) == 2)
            told = cluster.readiness(address)
            assert (told["ready"], told["store"], told["journal"]) == (True, "unreachable", "unreachable")
            for part in told["degraded"].values():
                assert abs(datetime.now(UTC) - datetime.fromisoformat(part["since"])) < timedelta(seconds=60)
                assert all("can't be reached" in cause for cause in part["causes"].values())
            assert metrics(address)("clipper_store_up") == 0
            cause = refusal(feed(address, app, query_id, value), 503)
            assert f"the Redis redis://127.0.0.1:{cluster.redis.port}/0?cluster=integration" in cause
        assert "can't be reached" in refusal(
            post(cluster.admin_address, "/admin/get_all_models", {"verbose": False}), 503
        )
        answered = len(one.answers), len(other.answers)
        eventually(lambda: len(one.answers) > answered[0] + 100 and len(other.answers) > answered[1] + 100)
        cluster.redis.start()
        for address in cluster.addresses:
            ready = {"ready": True, "store": "reachable", "journal": "reachable"}
            eventually(lambda address=address, ready=ready: cluster.readiness(address) == ready)
        fed = len(given)
        eventually(lambda: len(given) > fed + 100)
        stop.set()
        for each in feeding:
            each.result(30)
    assert len(one.outputs()) + len(other.outputs()) > 400
    one.check(), other.check()
    assert sum(refused for _, refused in given) > 0
    feed_until_taken(cluster.addresses[0], app, query_id, value)
    # The management frontend notices with its first request that its idle connection broke, and says so once.
    eventually(lambda: post(cluster.admin_address, "/admin/get_selection_state", {"app_name": app}).status == 200)
    assert feedbacks(cluster, app) == len(given) + 1
    journal = open_journal(cluster.redis.address("integration"))
    kept = [each.feedback.decision.query_id for each in journal.export(app, 0, 1_000_000)]
    journal.close()
    assert sorted(kept) == sorted([query_id, *(each for each, _ in given)])
    assert [told + 1 for told in before] == times_told(cluster), "it is told once"


@pytest.mark.heavy
def test_what_was_decided_without_redis_gets_feedback_through_the_other_frontend(cluster, app):
    cluster.redis.kill()
    try:
        for address in cluster.addresses:
            eventually(lambda address=address: "degraded" in cluster.readiness(address))
        decided = [(number, *query(cluster.addresses[number % 2], app)) for number in range(100)]
    finally:
        cluster.redis.start()
    for number, query_id, value in decided:
        feed_until_taken(cluster.addresses[1 - number % 2], app, query_id, value)
    eventually(lambda: post(cluster.admin_address, "/admin/get_selection_state", {"app_name": app}).status == 200)
    assert feedbacks(cluster, app) == len(decided)
    for address in cluster.addresses:
        assert metrics(address)("clipper_decisions_dropped_total") == 0


@pytest.fixture
def emptied(cluster, app):
    """Redis has lost all: called, it is put back from the backup that was made just before."""
    with cluster.redis.client() as client:
        backup = {key: (max(client.pttl(key), 0), client.dump(key)) for key in client.scan_iter()}
        client.flushall()

        def put_back():
            # As a server does that starts with a backup: nobody sees a part of it.
            with client.pipeline(transaction=True) as restoring:
                for key, (lifetime, value) in backup.items():
                    if value is not None:
                        restoring.restore(key, lifetime, value, replace=True)
                restoring.execute()

        yield put_back
        put_back()
        for address in cluster.addresses:
            eventually(lambda address=address: is_ready(address))


def told_lost(cluster, address):
    degraded = cluster.readiness(address).get("degraded", {})
    return len(degraded) == 2 and all(
        "has lost the data of the cluster" in cause for part in degraded.values() for cause in part["causes"].values()
    )


@pytest.mark.heavy
def test_redis_that_lost_its_data_is_told_and_a_backup_is_enough(cluster, app, emptied):
    for address in cluster.addresses:
        eventually(lambda address=address: told_lost(cluster, address))
    decided = [(number, *query(cluster.addresses[number % 2], app)) for number in range(10)]
    for number, query_id, value in decided:
        cause = refusal(feed(cluster.addresses[number % 2], app, query_id, value), 503)
        assert "put back a backup of Redis, or start the servers of the cluster again" in cause
    for path, body in (("get_all_models", {"verbose": False}), ("delete_app", {"name": app})):
        assert "has lost the data" in refusal(post(cluster.admin_address, f"/admin/{path}", body), 503)
    with cluster.redis.client() as client:
        assert client.keys() == [], "nobody writes into what is not the cluster's data any more"
    emptied()
    for number, query_id, value in decided:
        feed_until_taken(cluster.addresses[1 - number % 2], app, query_id, value)
    assert feedbacks(cluster, app) == len(decided)


@pytest.mark.heavy
def test_servers_that_are_started_again_begin_with_an_empty_redis(tmp_path):
    cluster = RedisCluster(tmp_path)
    try:
        cluster.serve("before")
        with cluster.redis.client() as client:
            client.flushall()
        for address in cluster.addresses:
            eventually(lambda address=address: told_lost(cluster, address))
        for program in ("management", "frontend-0", "frontend-1"):
            cluster.process(program).kill()
            cluster.process(program).wait(20)
        cluster.start_management()
        cluster.start_frontend(0), cluster.start_frontend(1)
        eventually(lambda: all(map(is_ready, [cluster.admin_address, *cluster.addresses])), timeout=30)
        assert cluster.admin("get_all_applications", verbose=False).json() == []
        for address in cluster.addresses:
            refusal(post(address, "/before/predict", {"input": [1.0]}), 404)
        cluster.register_model()  # its container has connected again by itself
        app = cluster.serve("after")
        query_id, value = query(cluster.addresses[0], app)
        assert feed(cluster.addresses[1], app, query_id, value).json()["accepted"]
    finally:
        cluster.close()


@pytest.mark.heavy
def test_a_frontend_is_killed_and_the_other_fails_nobody(cluster, app):
    taken = [query(cluster.addresses[1], app) for _ in range(20)]
    for each in taken[:10]:
        assert feed(cluster.addresses[1], app, *each).json()["accepted"]
    with Load(cluster.addresses[0], app) as load, Load(cluster.addresses[1], app) as other:
        eventually(lambda: len(load.answers) > 100 and len(other.answers) > 100)
        cluster.process("frontend-1").kill()
        cluster.process("frontend-1").wait(20)
        answered = len(load.answers)
        eventually(lambda: len(load.answers) > answered + 200)
        cluster.start_frontend(1)
        eventually(lambda: is_ready(cluster.addresses[1]))
        answered = len(other.answers)
        eventually(lambda: len(other.answers) > answered + 100)
    assert len(load.outputs()) > 300, "each was answered, with the model's output"
    load.check(), other.check()
    assert all(each.status in (0, 200) for each in other.asked)
    assert outputs([ask(cluster.addresses[1], app, [5.0])]) == [5.0]
    for each in taken[:10]:
        assert feed(cluster.addresses[0], app, *each).json() == {"accepted": False, "duplicate": True}
    assert feedbacks(cluster, app) == 10


@pytest.mark.heavy
def test_idle_frontends_cost_nothing(cluster, app):
    """As ``test_idle_costs_nothing`` has it for SQLite, and Redis as well.

    Alone a frontend takes 0.2 to 0.7 % of a core; beside a busy test each look at Redis costs twice as much.
    """
    processes = {
        each: psutil.Process(cluster.process(each).pid) for each in ("frontend-0", "frontend-1", "management")
    }
    processes["redis"] = psutil.Process(cluster.redis.pid)

    def spent():
        return {name: sum(each.cpu_times()[:2]) for name, each in processes.items()}

    time.sleep(2)  # the last states of other tests are saved
    seconds, before = 5.0, spent()
    time.sleep(seconds)  # nothing is raced: this is the time measured
    used = {name: now - before[name] for name, now in spent().items()}
    assert all(each <= 0.02 * seconds + 0.02 for each in used.values()), used
