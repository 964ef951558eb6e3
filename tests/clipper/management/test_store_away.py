"""The store is away: every endpoint that needs it says so with a 503, why, and what to do; and works again after."""

import sqlite3
from contextlib import closing

import pytest

from clipper.errors import StoreError
from clipper.management.frontend import create_app
from clipper.management.registrar import Registrar
from clipper.store.opening import open_journal, open_store
from clipper.store.sqlite import SqliteStore
from clipper.types import Registry
from tests.clipper.management.conftest import Client
from tests.clipper.management.test_edge import APP, BODIES, refused
from tests.clipper.store.redis_process import DURABLE, RedisProcess
from tests.clipper_admin.managers.polling import eventually

ASKED = BODIES | {"set_batching": {"model_name": "m", "batch_size": 2}}
WITHOUT = {"/admin/ping", "/health/live"}
"""What needs no store."""


def requests_to(client):
    """Every endpoint, as it is to be asked."""
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        if "post" in operations:
            yield path, lambda path=path: client.post(path, json=ASKED[path.removeprefix("/admin/")])
        else:
            query = "?app_name=a" if path == "/admin/feedback" else ""
            yield path, lambda path=path, query=query: client.get(path + query)


def causes(client):
    """What each endpoint that needs the store says."""
    asked = dict(requests_to(client))
    assert len(asked) > 20
    assert asked.keys() >= WITHOUT
    assert all(asked[path]().status_code == 200 for path in WITHOUT)
    return {path: refused(ask(), 503, "Store error") for path, ask in asked.items() if path not in WITHOUT}


@pytest.fixture
def redis(tmp_path):
    process = RedisProcess(tmp_path, *DURABLE)
    yield process
    process.kill()


def test_redis_is_killed_and_comes_back(redis):
    address = redis.address()
    with closing(open_store(address)) as store, closing(open_journal(address)) as journal:
        client = Client(create_app(store, journal))
        assert client.post("/admin/add_app", json=APP).status_code == 200
        redis.kill()
        for path, cause in causes(client).items():
            assert cause.startswith(f"the Redis redis://127.0.0.1:{redis.port}/0?cluster=test can't be reached"), path
            assert "start it, or correct the address" in cause
        redis.start()
        eventually(lambda: client.get("/health/ready").status_code == 200)
        eventually(lambda: client.get("/admin/feedback?app_name=a").status_code == 200)
        assert client.post("/admin/get_all_applications", json={"verbose": False}).json() == ["a"]


def spoil(path):
    """Another process changes the file, and then something fills it with rubbish."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE another (a)")
        other.commit()
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(b"x" * path.stat().st_size)


def test_the_file_can_not_be_read(store, journal, client, tmp_path):
    assert client.get("/health/ready").status_code == 200
    spoil(tmp_path / "store.sqlite")
    for path, cause in causes(client).items():
        assert cause.startswith(f"{tmp_path}/store.sqlite is not a store or is damaged: put back a backup"), path


def test_the_journal_alone_can_not_be_read(journal, client, tmp_path):
    client.post("/admin/add_app", json=APP)
    spoil(tmp_path / "store.sqlite.journal")
    for answer in (
        client.get("/health/ready"),
        client.get("/admin/feedback?app_name=a"),
        client.post("/admin/delete_user_state", json={"user_id": "ann", "app_name": "a"}),
        client.post("/admin/get_selection_state", json={"app_name": "a"}),
    ):
        assert "store.sqlite.journal is not a store or is damaged" in refused(answer, 503, "Store error")
    assert client.post("/admin/get_all_applications", json={"verbose": False}).json() == ["a"]


def test_models_whose_past_can_not_be_forgotten_are_told(journal, client, monkeypatch):
    def fail(app, models):
        raise StoreError("the disk is full: free some space")

    model = {**BODIES["add_model"], "input_type": APP["input_type"]}
    for endpoint, body in (("add_app", APP), ("add_model", model), ("add_model_links", BODIES["add_model_links"])):
        assert client.post(f"/admin/{endpoint}", json=body).status_code == 200
    monkeypatch.setattr(journal, "forget_models", fail)
    cause = refused(client.post("/admin/delete_model_links", json=BODIES["delete_model_links"]), 503, "Store error")
    assert cause == (
        "the models are unlinked from application 'a', but what was learned of them is not forgotten (the disk is "
        "full: free some space): link them once more, and unlink them again"
    )
    assert client.post("/admin/get_linked_models", json={"app_name": "a"}).json() == []


def test_a_change_that_was_made_is_told_though_the_store_went_away_after_it(tmp_path, monkeypatch, caplog):
    def fail(self):
        raise StoreError("gone")

    with closing(SqliteStore(tmp_path / "s")) as store:
        monkeypatch.setattr(SqliteStore, "frontends", fail)
        Registrar(store).apply(lambda registry: Registry(current_versions={"m": "1"}))
        assert store.read().current_versions == {"m": "1"}
    assert "nobody knows who has taken up registry revision 1: gone" in caplog.messages
