"""What is done to a cluster in Docker to harm it, and the load that counts what became of each query."""

import contextlib
import json
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import pytest

from clipper_admin import ClipperConnection
from clipper_admin.deployers.python import deploy_python_closure
from clipper_admin.managers.docker_parts import CLUSTER, MODEL, QUERY_FRONTEND, QUERY_PORT
from tests.clipper_admin.managers.polling import eventually
from tests.docker.containers import docker
from tests.docker.test_manager import manager
from tests.integration.load import Load
from tests.integration.models import adding
from tests.integration.processes import is_ready
from tests.integration.rest import ask, post


@contextlib.contextmanager
def cluster(name, home, **options):
    """A running one, ``NAME-RUN``, of which nothing is left in the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIPPER_HOME", str(home))
        connection = ClipperConnection(manager(f"{name}-{RUN}", prometheus_image=None))
        connection.start_clipper(cache_size=0, **options)
        try:
            yield connection
        finally:
            connection.stop_all(graceful=False)
            assert containers(connection) == []


RUN = uuid.uuid4().hex[:6]
"""In the names of clusters: others may run these tests on the same engine."""
_labels = count(1_000_000)


def containers(clipper, *labels):
    """The ids of a cluster's containers, the youngest first."""
    filters = [f"--filter=label={each}" for each in (f"{CLUSTER}={clipper.cm.cluster_identifier}", *labels)]
    return docker("ps", "--quiet", "--no-trunc", "--all", *filters).split()


def replicas(clipper, name):
    return containers(clipper, f"{MODEL}={name}_1")


def frontend_at(clipper, address):
    (found,) = containers(clipper, QUERY_FRONTEND, f"{QUERY_PORT}={address.rpartition(':')[2]}")
    return found


def kill(container):
    """SIGKILL to its first process, which is no ``docker kill``: the engine starts again what ended by itself."""
    os.kill(inspect(container)["State"]["Pid"], 9)


def inspect(container):
    return json.loads(docker("inspect", "--format={{json .}}", container))


def started_again(container):
    found = inspect(container)
    return found["RestartCount"] >= 1 and found["State"]["Running"]


@contextlib.contextmanager
def paused(container):
    """A straggler: its connections stay, and it does nothing."""
    eventually(lambda: _freezes(container))
    try:
        yield
    finally:
        docker("unpause", container)


def _freezes(container):
    """The engine can't, now and then, if the container is busy."""
    with contextlib.suppress(AssertionError):
        docker("pause", container)
    return inspect(container)["State"]["Paused"]


def serve(clipper, name, replicas=1, policy="single", slo=5_000_000, function=None):
    """An application whose answer to an input of one number is that number."""
    clipper.register_application(name, "doubles", "-1", slo, selection_policy=policy)
    deploy_python_closure(clipper, name, 1, "doubles", function or adding())
    clipper.set_num_replicas(name, replicas)  # which waits for all of them
    clipper.link_model_to_app(name, name)
    for address in clipper.cm.get_query_addrs():
        eventually(lambda address=address: not ask(address, name, [1.0])["default"])


@contextlib.contextmanager
def load(clipper, name, clients=3):
    """A load for each query frontend, by its address."""
    with contextlib.ExitStack() as stack:
        loads = {each: stack.enter_context(Load(each, name, clients)) for each in clipper.cm.get_query_addrs()}
        more(*loads.values())
        yield loads


def more(*loads, answers=50):
    """Returns when each load has had so many more answers, the last of them no default."""
    goals = [len(each.answers) + answers for each in loads]
    eventually(lambda: all(len(each.answers) >= goal for each, goal in zip(loads, goals, strict=True)), timeout=60)
    eventually(lambda: not any(each.answers[-1].answer["default"] for each in loads), timeout=60)


def reasons(load):
    """Of the default outputs; each query of the load was answered, none wrongly."""
    load.check()
    assert [each for each in load.asked if each.status != 200] == []
    return {each.answer["default_reason"] for each in load.answers if each.answer["default"]}


class Feeders:
    """Clients that ask at one frontend and give feedback by query id at another, again and again until it is taken.

    ``given`` are the ids whose feedback was acknowledged, ``refused`` what was answered in place of that.
    """

    def __init__(self, name, pairs):
        self._name = name
        self._pairs = pairs
        self._stop = Event()
        self.given = []
        self.refused = []

    def __enter__(self):
        self._pool = ThreadPoolExecutor(len(self._pairs))
        self._running = [self._pool.submit(self._run, *each) for each in self._pairs]
        return self

    def __exit__(self, *_):
        self._stop.set()
        for each in self._running:
            each.result(90)
        self._pool.shutdown()

    def more(self, feedbacks=50):
        goal = len(self.given) + feedbacks
        eventually(lambda: len(self.given) >= goal or any(each.done() for each in self._running), timeout=90)

    def _run(self, asked, fed):
        while not self._stop.is_set():
            label = float(next(_labels))
            answer = ask(asked, self._name, [label])
            assert answer["output"] == label, answer
            self._feed(fed, {"query_id": answer["query_id"], "label": label})

    def _feed(self, address, body):
        for _ in range(900):
            answer = post(address, f"/{self._name}/update", body)
            if answer.status == 200:
                self.given.append(body["query_id"])
                return
            self.refused.append(answer)
            self._stop.wait(0.1)  # as an application waits, to be kind
        raise AssertionError(answer)


def kept(clipper, name, path):
    """The query ids of the feedback in the journal; what was learned must be of just as many."""
    clipper.export_feedback(name, str(path))
    ids = [json.loads(line)["query_id"] for line in path.read_text().splitlines()]
    eventually(lambda: clipper.get_selection_state(name)["feedbacks"] == len(ids))
    return ids


def seen_by(container, file):
    """The inputs that a model of ``noting(file)`` was given."""
    return set(map(float, docker("exec", container, "cat", file).split()))


def all_ready(clipper):
    return all(map(is_ready, [clipper.cm.get_admin_addr(), *clipper.cm.get_query_addrs()]))
