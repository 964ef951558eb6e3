"""The local manager with the real servers and containers: every process here is one of a cluster that is stopped."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import cloudpickle
import psutil
import pytest

from clipper_admin import ClipperConnection
from clipper_admin.deployers.python import deploy_python_closure
from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.folders import ClusterFolder
from clipper_admin.managers.local import LocalContainerManager, running_clusters
from tests.clipper_admin.managers.polling import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.heavy]


class Loading:
    """Unpickles by running code, as an import at the top of a user's module would."""

    def __init__(self, code):
        self.code = code

    def __reduce__(self):
        return (exec, (self.code,))


def sums(xs, loading):
    return [str(sum(x)) for x in xs]


sums.__module__ = "__main__"  # so that it is pickled by value


def post(address, path, body):
    """The text of the answer; raises OSError (urllib's HTTPError is one) unless it is a 200."""
    request = urllib.request.Request(
        f"http://{address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def register(manager, name, version, app="app"):
    admin = manager.get_admin_addr()
    model = {"model_name": name, "model_version": version, "input_type": "doubles", "labels": []}
    post(admin, "/admin/add_model", model | {"container_name": "c", "model_data_path": "d", "batch_size": -1})
    link(manager, name, app)


def link(manager, name, app="app"):
    admin = manager.get_admin_addr()
    slo = {"latency_slo_micros": 1_000_000, "default_output": "-1.0"}
    post(admin, "/admin/add_app", {"name": app, "input_type": "doubles", **slo})
    post(admin, "/admin/add_model_links", {"app_name": app, "model_names": [name]})


def predict(manager, numbers, app="app"):
    return json.loads(post(manager.get_query_addr(), f"/{app}/predict", {"input": numbers}))


def answers(manager, numbers, expected, app="app"):
    """Whether the model's answer comes, and not yet or no longer the default."""
    try:
        return predict(manager, numbers, app)["output"] == expected
    except OSError:
        return False


def containers(manager):
    return json.loads(post(manager.get_admin_addr(), "/admin/get_all_containers", {"verbose": True}))


def pids(manager):
    return {each.program: each.pid for each in manager.process_table()}


def scale_of(factor):
    source = f"def scaled(xs):\n    return [str(sum(x) * {factor}) for x in xs]\n"
    namespace = {"__name__": "__main__"}  # so that it is pickled by value
    exec(source, namespace)
    return namespace["scaled"]


@pytest.fixture
def deploy(tmp_path):
    """Builds and deploys a pickled object as a model."""

    def deploy(manager, function, name="sum", version="1", num_replicas=1):
        data = tmp_path / f"{manager.cluster_identifier}-{name}-{version}"
        data.mkdir(exist_ok=True)
        (data / "func.pkl").write_bytes(cloudpickle.dumps(function))
        tag = manager.build_image(name, version, str(data), "default", None, None)
        manager.deploy_model(name, version, "doubles", tag, num_replicas)
        return tag

    return deploy


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def make_manager(home):
    """Managers whose clusters are stopped after the test."""
    made = []

    def make(name="c", *, where=home, **options):
        arguments = {"clipper_query_port": 0, "clipper_management_port": 0, "clipper_rpc_port": 0} | options
        made.append(LocalContainerManager(name, home=where, **arguments))
        return made[-1]

    yield make
    for manager in made:
        manager.stop_all(graceful=False)


@pytest.fixture
def manager(make_manager):
    manager = make_manager()
    manager.start_clipper()
    return manager


def processes_of(home):
    """Everything that runs for the clusters of a home: what names it in its command or was marked by supervisord."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("CLIPPER_MODEL_PATH", "")]
            if process.pid != os.getpid() and any(str(home) in word for word in words):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_cluster_from_start_to_stop(make_manager, home, deploy, caplog, tmp_path):
    caplog.set_level("INFO", logger="clipper_admin")
    manager = make_manager()
    manager.start_clipper()
    deploy(manager, scale_of(1))
    register(manager, "sum", "1")
    assert eventually(lambda: answers(manager, [1.5, 2.0], 3.5))
    assert manager.get_num_replicas("sum", "1") == 1
    assert manager.programs() == ["management-frontend", "query-frontend-0", "sum_1-0"]
    assert "sum:1" in manager.log_path("sum_1-0").read_text()
    written = manager.get_logs(str(tmp_path / "logs"))
    assert str(tmp_path / "logs" / "c_sum_1-0.log") in written
    assert "[c] Found 0 replicas for sum:1. Adding 1" in caplog.messages
    assert processes_of(home)
    manager.stop_all()
    assert processes_of(home) == []
    assert not (home / "clusters" / "c").exists()
    assert running_clusters(home) == []


def test_starting_twice_is_refused_and_connect_finds_the_ports(make_manager, manager):
    other = make_manager()
    with pytest.raises(ClipperException, match="Cluster c cannot be started because it already exists"):
        other.start_clipper()
    other.connect()
    assert other.get_query_addr() == manager.get_query_addr()
    assert other.get_admin_addr() == manager.get_admin_addr()
    with urllib.request.urlopen(f"http://{other.get_query_addr()}/health/ready", timeout=10) as answer:
        assert answer.status == 200


def test_connecting_to_no_cluster_names_those_that_run(make_manager, manager, home):
    with pytest.raises(ClipperException) as caught:
        make_manager("absent").connect()
    for part in ("Cluster absent is not running", str(home), "running there: c", "start_clipper"):
        assert part in str(caught.value)


def test_a_taken_port_is_told_and_nothing_is_left(make_manager, manager, home):
    taken = int(manager.get_query_addr().rpartition(":")[2])
    second = make_manager("second", clipper_query_port=taken)
    with pytest.raises(ClipperException, match=rf"query port {taken} .*\(pid \d+\).*clipper_query_port="):
        second.start_clipper()
    assert not (home / "clusters" / "second").exists()


def test_a_server_that_cannot_start_is_told_in_its_own_words(make_manager, home):
    (home / "clusters" / "c" / "clipper.db").mkdir(parents=True)
    with pytest.raises(ClipperException, match=r"(?s)ended while it started.*clipper.db") as caught:
        make_manager().start_clipper()
    assert str(home / "clusters" / "c" / "logs") not in str(caught.value)  # a new cluster's are gone by now
    assert processes_of(home) == []


FAILURES = {
    "raises": ("raise ValueError('no good')", ["ended with exit status 1", "ValueError: no good", "deploy it again"]),
    "exits": ("import sys; sys.exit(0)", ["ended with exit status", "deploy it again"]),
    "vanishes": ("import os; print('last words', flush=True); os._exit(7)", ["exit status 7", "last words"]),
    "eats-memory": ("import os; os.kill(os.getpid(), 9)", ["was killed (SIGKILL), perhaps because memory ran out"]),
    "lacks-a-module": (
        "import nowhere_to_be_found.at_all",
        ["ModuleNotFoundError", "pkgs_to_install", "'nowhere_to_be"],
    ),
}


def test_models_that_fail_are_told_at_once_and_harm_nobody(manager, deploy):
    deploy(manager, scale_of(1))
    before = pids(manager)
    for name, (code, expected) in FAILURES.items():
        began = time.monotonic()
        with pytest.raises(ClipperException) as caught:
            deploy(manager, Loading(code), name=name, num_replicas=2)
        assert time.monotonic() - began < 20
        for part in (f"Model {name}:1 failed to start", *expected):
            assert part in str(caught.value)
        assert manager.get_num_replicas(name, "1") == 0
        assert pids(manager) == before


def test_a_model_that_hangs_is_shown_where(make_manager, deploy):
    manager = make_manager(deploy_timeout=1.5)
    manager.start_clipper()
    with pytest.raises(ClipperException) as caught:
        deploy(manager, Loading("def waiting_forever():\n    import time\n    time.sleep(1000)\nwaiting_forever()"))
    for part in ("was not ready after 1.5 s", "in waiting_forever", "deploy_timeout"):
        assert part in str(caught.value)
    assert manager.get_num_replicas("sum", "1") == 0


def test_scaling_leaves_the_others_alone_and_never_reuses_an_id(manager, deploy):
    tag = deploy(manager, scale_of(1), num_replicas=2)
    first = pids(manager)
    manager.set_num_replicas("sum", "1", "doubles", tag, 4)
    grown = pids(manager)
    assert grown.items() >= first.items()
    assert grown.keys() - first.keys() == {"sum_1-2", "sum_1-3"}
    manager.set_num_replicas("sum", "1", "doubles", tag, 1)
    assert pids(manager) == {name: pid for name, pid in first.items() if name != "sum_1-1"}
    manager.set_num_replicas("sum", "1", "doubles", tag, 2)
    assert "sum_1-4" in pids(manager)
    manager.stop_models({"sum": ["1"]})
    deploy(manager, scale_of(1))
    assert "sum_1-5" in pids(manager)


def test_two_sessions_that_deploy_the_same_version(manager, make_manager, home):
    """The second comes while the replica of the first is loading: it waits, and finds the version registered."""
    first, second = ClipperConnection(manager), ClipperConnection(make_manager())
    first.connect()
    second.connect()
    go, checked = home / "go", second.check_deployable
    loading = Loading(f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)")
    second.check_deployable = lambda *args, **options: (checked(*args, **options), go.touch())
    with ThreadPoolExecutor(1) as pool:
        deployed = pool.submit(deploy_python_closure, first, "sum", 1, "doubles", partial(sums, loading=loading))
        eventually(lambda: pids(manager).get("sum_1-0"))
        with pytest.raises(ClipperException, match="model with name 'sum' and version '1' already exists"):
            second.build_and_deploy_model("sum", 1, "doubles", str(home), "default")
        deployed.result(30)
    assert manager.get_num_replicas("sum", "1") == 1
    link(manager, "sum")
    assert eventually(lambda: answers(manager, [1.0, 2.0], 3.0))
    first.close()
    second.close()


KILLED = """
import sys, time
from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers.python import deploy_python_closure

class Hanging:
    def __reduce__(self):
        return exec, ("import time; time.sleep(1000)",)

def slow(xs, hanging=Hanging()):
    return [str(len(x)) for x in xs]

connection = ClipperConnection(LocalContainerManager("c", home=sys.argv[1]))
connection.connect()
deploy_python_closure(connection, "sum", 1, "doubles", slow)
"""


def test_a_deploy_that_was_killed_can_be_done_again(manager, home):
    deploying = subprocess.Popen([sys.executable, "-c", KILLED, str(home)], stderr=subprocess.DEVNULL)
    eventually(lambda: pids(manager).get("sum_1-0"))
    deploying.kill()
    deploying.wait(10)
    session = ClipperConnection(manager)
    session.connect()
    deploy_python_closure(session, "sum", 1, "doubles", scale_of(1))
    assert [each for each in pids(manager) if each.startswith("sum")] == ["sum_1-1"]
    session.close()


def test_a_deploy_waits_for_another_of_the_version_but_not_for_ever(manager, home, monkeypatch):
    hold = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True)"
    file = home / "clusters" / "c" / "replica-ids" / "sum_1.deploying"
    monkeypatch.setattr("clipper_admin.managers.replicas.DEPLOY_PATIENCE", 0.1)
    command = [sys.executable, "-c", f"{hold}; sys.stdin.read()", str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ClipperException, match="sum:1 is being deployed by another session: wait"):
            manager.deploying("sum", "1").__enter__()
        with manager.deploying("sum", "2"):
            other.stdin.close()
            other.wait(10)
    with manager.deploying("sum", "1"):
        pass


def test_an_image_in_use_is_not_replaced(manager, deploy):
    deploy(manager, scale_of(1))
    with pytest.raises(ClipperException, match="has 1 replicas that run from its image"):
        deploy(manager, scale_of(2))


def test_stopping_one_version_leaves_the_other(manager, deploy):
    deploy(manager, scale_of(1))
    tag = deploy(manager, scale_of(2), version="2")
    kept = pids(manager)["sum_2-0"]
    manager.stop_models({"sum": ["1"]})
    assert pids(manager)["sum_2-0"] == kept
    assert manager.get_num_replicas("sum", "1") == 0
    manager.stop_all_model_containers()
    assert manager.programs() == ["management-frontend", "query-frontend-0"]
    with pytest.raises(ClipperException, match="no image of model sum:2"):
        manager.set_num_replicas("sum", "2", "doubles", tag, 1)


def test_models_that_run_elsewhere_are_stopped_like_others(manager, home):
    session = ClipperConnection(manager)
    session.connect()
    deploy_python_closure(session, "sum", 1, "doubles", scale_of(1))
    session.register_model("My_Model", "1.0", "doubles")
    session.stop_models(["sum", "My_Model"])
    assert session.get_all_models() == []
    for stop in (session.stop_versioned_models, lambda models: session.stop_inactive_model_versions(list(models))):
        session.register_model("My_Model", "1.0", "doubles")
        stop({"My_Model": ["1.0"]})
    assert session.get_all_models() == ["My_Model:1.0"]
    session.close()


def test_a_failed_deploy_leaves_nothing_on_disk(manager, home):
    session = ClipperConnection(manager)
    session.connect()
    with pytest.raises(ClipperException, match="no good"):
        deploy_python_closure(session, "boom", 1, "doubles", partial(print, Loading("raise ValueError('no good')")))
    assert list((home / "clusters" / "c" / "models").iterdir()) == []
    session.close()


def test_every_process_comes_back_after_kill_9(manager, deploy):
    deploy(manager, scale_of(1))
    register(manager, "sum", "1")
    assert eventually(lambda: answers(manager, [1.0, 2.0], 3.0))
    for program, pid in pids(manager).items():
        os.kill(pid, signal.SIGKILL)
        eventually(lambda program=program, pid=pid: pids(manager)[program] not in (0, pid))
        assert eventually(lambda: answers(manager, [4.0, 2.0], 6.0))
        assert eventually(lambda: replicas_seen(manager) == [("sum", "1", 0)])


def replicas_seen(manager):
    try:
        seen = containers(manager)
    except OSError:
        return None
    return [(each["model_name"], each["model_version"], each["model_replica_id"]) for each in seen]


def test_a_crashed_cluster_is_taken_up_again(make_manager, manager, deploy, home):
    deploy(manager, scale_of(1), num_replicas=2)
    register(manager, "sum", "1")
    query_address = manager.get_query_addr()
    os.kill(supervisord(home).pid, signal.SIGKILL)
    eventually(lambda: running_clusters(home) == [])
    again = make_manager()
    with pytest.raises(ClipperException, match="Cluster c is not running"):
        again.connect()
    again.start_clipper(num_frontend_replicas=2)
    assert again.get_query_addr() == query_address
    assert eventually(lambda: answers(again, [1.0, 2.0], 3.0))
    assert again.get_num_replicas("sum", "1") == 2
    assert Counter(name.partition("_")[0] for name in pids(again))["sum"] == 2
    assert len([each for each in processes_of(home) if "clipper-container.pyz" in " ".join(each.cmdline())]) == 2


def supervisord(home):
    (process,) = [each for each in processes_of(home) if "supervisor.supervisord" in each.cmdline()]
    return process


def test_a_crashed_cluster_can_be_stopped(make_manager, manager, deploy, home):
    deploy(manager, scale_of(1))
    os.kill(supervisord(home).pid, signal.SIGKILL)
    make_manager().stop_all()
    assert processes_of(home) == []
    assert not (home / "clusters" / "c").exists()


def test_a_cluster_that_comes_back_with_other_settings_says_so(make_manager, home, caplog):
    manager = make_manager()
    settings = {"num_frontend_replicas": 2, "cache_size": 7, "qf_http_timeout_request": 6}
    manager.start_clipper(**settings)
    manager.stop_all(keep_state=True)
    make_manager().start_clipper(**settings)
    assert "otherwise than before" not in caplog.text
    manager.stop_all(keep_state=True)
    make_manager().start_clipper(num_frontend_replicas=1, cache_size=33_554_432)
    (warning,) = [each for each in caplog.records if each.levelname == "WARNING"]
    told = "num_frontend_replicas=1 (before: 2), cache_size=33554432 (before: 7)"
    assert warning.getMessage().endswith(f"in {home / 'clusters' / 'c'} comes up otherwise than before: {told}")


def test_a_cluster_that_comes_back_has_the_settings_it_had(make_manager, home):
    """In a session that gives none: neither to the manager nor to ``start_clipper``."""
    before = make_manager()
    before.start_clipper(num_frontend_replicas=2, cache_size=7, qf_http_timeout_content=30)
    folder = ClusterFolder(home / "clusters" / "c")
    kept = folder.read()
    before.stop_all(keep_state=True)
    again = LocalContainerManager("c", home=home)
    again.start_clipper()
    assert folder.read() == kept
    assert again.get_query_addr() == f"127.0.0.1:{kept.query_port}"


def test_a_model_works_in_its_own_folder(manager, deploy, tmp_path, home):
    def read(xs):
        with open("weights") as file:
            return [file.read() for _ in xs]

    read.__module__ = "__main__"
    (tmp_path / "c-sum-1").mkdir()
    (tmp_path / "c-sum-1" / "weights").write_text("41")
    deploy(manager, read)
    register(manager, "sum", "1")
    assert eventually(lambda: answers(manager, [1.0], 41))


def test_a_cluster_stopped_with_its_state_comes_back(make_manager, manager, deploy, home):
    deploy(manager, scale_of(3))
    register(manager, "sum", "1")
    manager.stop_all(keep_state=True)
    assert processes_of(home) == []
    again = make_manager()
    again.start_clipper()
    assert eventually(lambda: answers(again, [1.0, 2.0], 9.0))


def test_stopping_at_once_leaves_nothing(manager, deploy, home):
    deploy(manager, scale_of(1))
    manager.stop_all(graceful=False)
    assert processes_of(home) == []
    manager.stop_all()


def test_two_clusters_side_by_side(make_manager, home, deploy):
    for name, factor in (("one", 1), ("two", 10)):
        manager = make_manager(name)
        manager.start_clipper()
        deploy(manager, scale_of(factor))
        register(manager, "sum", "1")
    assert running_clusters(home) == ["one", "two"]
    one, two = make_manager("one"), make_manager("two")
    one.connect()
    two.connect()
    assert eventually(lambda: answers(one, [1.0, 2.0], 3.0))
    assert eventually(lambda: answers(two, [1.0, 2.0], 30.0))
    one.stop_all()
    assert running_clusters(home) == ["two"]
    assert answers(two, [1.0, 2.0], 30.0)


def test_a_model_has_its_own_packages(manager, tmp_path):
    def keys(texts):
        import xmltodict

        return [next(iter(xmltodict.parse(text))) for text in texts]

    keys.__module__ = "__main__"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "func.pkl").write_bytes(cloudpickle.dumps(keys))
    tag = manager.build_image("keys", "1", str(tmp_path / "model"), "default", None, ["xmltodict"])
    manager.deploy_model("keys", "1", "strings", tag)
    (process,) = [each for each in manager.process_table() if each.program == "keys_1-0"]
    assert str(manager.home / "environments") in psutil.Process(process.pid).cmdline()[0]


def test_a_model_is_ready_when_all_frontends_have_it(make_manager, deploy):
    manager = make_manager()
    manager.start_clipper(num_frontend_replicas=3)
    deploy(manager, scale_of(1))
    (seen,) = containers(manager)
    assert sorted(seen["frontends"]) == ["frontend-0", "frontend-1", "frontend-2"]
    register(manager, "sum", "1")
    assert eventually(lambda: answers(manager, [1.0, 2.0], 3.0))
    # Each connection lands on any of the frontends: all of them must have the model.
    eventually(lambda: all(answers(manager, [float(n), 2.0], n + 2.0) for n in range(20)))


def test_a_home_that_is_hard_to_quote(make_manager, tmp_path, deploy):
    manager = make_manager(where=tmp_path / "it's 100% [odd] ; #1 \u00fc =x, ok")
    manager.start_clipper()
    deploy(manager, scale_of(1))
    register(manager, "sum", "1")
    assert eventually(lambda: answers(manager, [1.0, 2.0], 3.0))


def test_stopping_no_cluster_is_no_error(make_manager, caplog, home):
    caplog.set_level("INFO", logger="clipper_admin")
    make_manager("absent").stop_all()
    assert caplog.messages == [f"[absent] There is no cluster absent in {home} to stop"]
