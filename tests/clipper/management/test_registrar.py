import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipper.errors import NotFound, StoreConflict, Unavailable
from clipper.management.registrar import ATTEMPTS, Registrar
from clipper.store.sqlite import SqliteStore
from clipper.types import Registry


@pytest.fixture
def stores(tmp_path):
    """Two instances on the same data: ours, and another process's."""
    opened = SqliteStore(tmp_path / "s"), SqliteStore(tmp_path / "s")
    yield opened
    for store in opened:
        store.close()


def with_version(registry, name):
    return Registry(revision=registry.revision, current_versions={**registry.current_versions, name: "1"})


def test_a_rule_decides_again_when_another_process_was_faster(stores):
    ours, other = stores
    seen = []

    def rule(registry):
        seen.append(dict(registry.current_versions))
        if len(seen) == 1:
            other.commit(registry, with_version(registry, "theirs"))
        return with_version(registry, "ours")

    Registrar(ours).apply(rule)
    assert seen == [{}, {"theirs": "1"}]
    assert ours.read() == Registry(revision=2, current_versions={"theirs": "1", "ours": "1"})


def test_a_rule_that_always_comes_late_fails_in_the_end(stores):
    ours, other = stores

    def rule(registry):
        other.commit(registry, with_version(registry, f"theirs-{registry.revision}"))
        return with_version(registry, "ours")

    with pytest.raises(
        StoreConflict, match=f"other changes came in between {ATTEMPTS} times and nothing was changed"
    ):
        Registrar(ours).apply(rule)
    assert len(ours.read().current_versions) == ATTEMPTS
    assert "ours" not in ours.read().current_versions


def test_an_error_of_a_rule_changes_nothing(stores):
    def rule(registry):
        raise NotFound("not there")

    registrar = Registrar(stores[0])
    with pytest.raises(NotFound, match="not there"):
        registrar.apply(rule)
    assert registrar.read() == Registry()


def test_many_threads_lose_no_change(stores):
    registrar = Registrar(stores[0])
    names = [f"m{i}" for i in range(40)]

    def add(name):
        registrar.apply(lambda registry: with_version(registry, name))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, names))
    assert sorted(registrar.read().current_versions) == sorted(names)


def test_waiting_for_ones_turn_is_bounded(stores):
    registrar = Registrar(stores[0], wait=0.01)
    entered, leave = threading.Event(), threading.Event()

    def rule(registry):
        entered.set()
        assert leave.wait(30)
        return registry

    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(registrar.apply, rule)
        assert entered.wait(30)
        with pytest.raises(Unavailable, match=r"did not get to this request in 0\.01 s"):
            registrar.read()
        leave.set()
        slow.result(30)
    assert registrar.read().revision == 1
