"""What every store promises, whatever it is made of."""

import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from clipper.errors import StoreConflict
from clipper.store.base import LEASE_SECONDS
from clipper.types import Application, Model, ModelVersion, Registry, Replica

SUM = Model(name="sum", version="1", input_type="doubles", labels=("a", "b"), batch_size=7, registration=1)
APP = Application(
    name="hello",
    input_type="doubles",
    default_output="-1.0",
    latency_slo_micros=100_000,
    policy_params={"epsilon": 0.1},
    confidence_threshold=0.5,
)
FILLED = Registry(
    applications={"hello": APP},
    models={SUM.id: SUM},
    current_versions={"sum": "1"},
    links={"hello": ("sum",)},
)


def replica(frontend="frontend-0", replica_id=0, version="1"):
    return Replica(
        model_name="sum", model_version=version, replica_id=replica_id, input_type="doubles", frontend=frontend
    )


def application(name):
    return Application(name=name, input_type="doubles", default_output="0", latency_slo_micros=1)


def with_application(registry, name):
    return Registry(revision=registry.revision, applications={**registry.applications, name: application(name)})


def test_a_new_store_is_empty(store):
    assert store.read() == Registry()
    assert store.replicas() == []


def test_what_was_committed_is_read_one_revision_later(backend, store):
    store.commit(Registry(), FILLED)

    expected = Registry(
        revision=1,
        applications=FILLED.applications,
        models=FILLED.models,
        current_versions=FILLED.current_versions,
        links=FILLED.links,
    )
    assert store.read() == expected
    assert backend.open().read() == expected


def test_a_record_is_changed_and_removed(store):
    store.commit(Registry(), FILLED)
    before = store.read()
    slower = Application(name="hello", input_type="doubles", default_output="x", latency_slo_micros=7)
    store.commit(before, Registry(applications={"hello": slower}, models=before.models))

    assert store.read() == Registry(revision=2, applications={"hello": slower}, models={SUM.id: SUM})


def test_records_are_read_in_the_order_of_their_registration(store):
    for name in ("zoe", "adam", "mia"):
        before = store.read()
        store.commit(before, with_application(before, name))

    assert list(store.read().applications) == ["zoe", "adam", "mia"]


def test_a_commit_on_an_old_registry_conflicts_and_changes_nothing(backend, store):
    other = backend.open()
    before = other.read()
    store.commit(store.read(), with_application(before, "first"))

    with pytest.raises(StoreConflict, match="try again"):
        other.commit(before, with_application(before, "second"))

    assert list(store.read().applications) == ["first"]
    before = other.read()
    other.commit(before, with_application(before, "second"))
    assert list(store.read().applications) == ["first", "second"]


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":"), min_size=1, max_size=8)
registries = st.builds(
    Registry,
    applications=st.dictionaries(names, st.builds(application, names)),
    models=st.dictionaries(st.builds(ModelVersion, names, names), st.just(SUM)),
    current_versions=st.dictionaries(names, names),
    links=st.dictionaries(names, st.lists(names, max_size=3).map(tuple)),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(registries)
def test_any_registry_turns_into_any_other(store, wanted):
    before = store.read()
    store.commit(before, wanted)
    after = store.read()

    assert after.revision == before.revision + 1
    assert (after.applications, after.models) == (wanted.applications, wanted.models)
    assert (after.current_versions, after.links) == (wanted.current_versions, wanted.links)


def test_changed_until_read(backend, store):
    other = backend.open()
    assert store.changed()
    before = store.read()
    assert not store.changed()

    other.commit(other.read(), with_application(before, "a"))
    assert store.changed()
    assert store.changed()
    store.read()
    assert not store.changed()


def test_changed_after_a_commit_of_ones_own_until_read(store):
    before = store.read()
    store.commit(before, with_application(before, "a"))
    assert store.changed()
    store.read()
    assert not store.changed()


def test_changed_after_a_commit_of_ones_own_and_one_of_another(backend, store):
    other = backend.open()
    before = store.read()
    store.commit(before, with_application(before, "a"))
    before = other.read()
    other.commit(before, with_application(before, "b"))
    assert store.changed()
    assert list(store.read().applications) == ["a", "b"]
    assert not store.changed()


def test_replicas_and_query_ids_are_no_change_of_the_registry(backend, store):
    other = backend.open()
    store.read()
    other.report("frontend-1", 0, [replica("frontend-1")])
    other.reserve_query_ids(10)
    assert not store.changed()


def test_a_conflict_is_no_change_for_those_who_have_read(backend, store):
    other = backend.open()
    old = other.read()
    store.commit(old, with_application(old, "a"))
    store.read()
    with pytest.raises(StoreConflict):
        other.commit(old, with_application(old, "b"))
    assert not store.changed()


def test_another_process_sees_the_change_and_answers_with_one(backend, store):
    program = (
        "import sys\n"
        "from clipper.types import Registry\n"
        "store.read(); print('read', flush=True)\n"
        "sys.stdin.readline()\n"
        "assert store.changed()\n"
        "before = store.read(); assert list(before.applications) == ['a'], before\n"
        "store.commit(before, Registry()); print('emptied', flush=True)"
    )
    with subprocess.Popen(
        backend.command(program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "read\n"
        before = store.read()
        store.commit(before, with_application(before, "a"))
        store.read()
        output, _ = process.communicate("go on\n", timeout=30)
    assert (output, process.returncode) == ("emptied\n", 0)
    assert store.changed()
    assert store.read() == Registry(revision=2)


def test_a_commit_survives_kill_9_of_its_writer(backend):
    program = (
        "from clipper.types import Registry\n"
        "before = store.read()\n"
        "store.commit(before, Registry(current_versions={'sum': '1'}))\n"
        "first = store.reserve_query_ids(5)\n"
        "print('committed', first, flush=True)\n"
        "import signal; signal.pause()"
    )
    with subprocess.Popen(backend.command(program), stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        process.kill()
        assert process.wait(timeout=30) == -signal.SIGKILL
    assert line == "committed 0\n"

    store = backend.open()
    assert store.read() == Registry(revision=1, current_versions={"sum": "1"})
    assert store.reserve_query_ids(1) == 5


def test_query_ids_follow_each_other(store):
    assert store.reserve_query_ids(10) == 0
    assert store.reserve_query_ids(1) == 10
    assert store.reserve_query_ids(1) == 11


@pytest.mark.parametrize("count", [0, -1])
def test_no_query_ids_can_not_be_reserved(store, count):
    with pytest.raises(ValueError, match="at least one"):
        store.reserve_query_ids(count)


def test_processes_get_blocks_of_query_ids_that_do_not_overlap(backend):
    program = "print(*[store.reserve_query_ids(100) for _ in range(20)])"
    processes = [subprocess.Popen(backend.command(program), stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0]
    firsts = sorted(int(first) for output in outputs for first in output.split())
    assert firsts == list(range(0, 6000, 100))


def test_replicas_are_those_of_all_frontends_in_order(backend, store):
    other = backend.open()
    store.report("b", 0, [replica("b", 1), replica("b", 0)])
    other.report("a", 0, [replica("a", 1), replica("a", 0, version="0")])

    expected = [replica("a", 0, version="0"), replica("b", 0), replica("a", 1), replica("b", 1)]
    assert store.replicas() == expected
    assert other.replicas() == expected


def test_replicas_of_one_frontend_replace_what_it_had_reported(store):
    store.report("a", 0, [replica("a", 0), replica("a", 1)])
    store.report("b", 0, [replica("b", 0)])
    store.report("a", 0, [replica("a", 2)])
    assert store.replicas() == [replica("b", 0), replica("a", 2)]
    store.report("a", 0, [])
    assert store.replicas() == [replica("b", 0)]


def test_frontends_tell_what_revision_they_serve(backend, store):
    store.report("b", 3, [])
    backend.open().report("a", 2, [])
    store.report("b", 4, [])
    assert store.frontends() == {"a": 2, "b": 4}


def test_frontends_tell_where_their_metrics_are(backend, store, clock):
    store.report("b", 1, [], "b:1337")
    store.report("c", 1, [])
    backend.open().report("a", 1, [], "a:1337")
    assert list(store.metrics_addresses().items()) == [("a", "a:1337"), ("b", "b:1337")]
    store.report("a", 1, [])
    assert store.metrics_addresses() == {"b": "b:1337"}
    clock.advance(LEASE_SECONDS + 1)
    assert store.metrics_addresses() == {}


def test_a_container_keeps_its_address(backend, store):
    reported = replace(replica(), metrics_address="h:5")
    store.report("frontend-0", 1, [reported])
    assert backend.open().replicas() == [reported]


def test_a_frontend_that_falls_silent_is_forgotten_and_comes_back_with_its_next_report(backend, store, clock):
    store.report("dead", 1, [replica("dead", 0)])
    clock.advance(LEASE_SECONDS - 1)
    store.report("alive", 1, [replica("alive", 0)])
    assert store.frontends() == {"alive": 1, "dead": 1}
    clock.advance(2)
    assert store.frontends() == {"alive": 1}
    assert store.replicas() == [replica("alive", 0)]
    store.report("dead", 2, [replica("dead", 0)])
    assert store.frontends() == {"alive": 1, "dead": 2}


def test_a_store_is_usable_from_a_thread_that_did_not_open_it(store):
    with ThreadPoolExecutor(1) as worker:
        worker.submit(store.commit, Registry(), FILLED).result()
    assert store.read().applications == FILLED.applications
