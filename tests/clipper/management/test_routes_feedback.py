"""Feedback over HTTP: pages of it, and forgetting users and applications. The journal is a real one."""

import json
import logging

import pytest

from clipper.errors import StoreError
from clipper.management import routes_feedback
from clipper.management.routes_feedback import FORGOTTEN
from tests.clipper.management.feedback import feedback

APP = {"name": "app", "input_type": "doubles", "default_output": "-1", "latency_slo_micros": 1000}


@pytest.fixture
def written(post, journal):
    """Feedback 1 to 5 of ``app``, with some of another application in between."""
    for name in ("app", "other"):
        assert post("add_app", {**APP, "name": name}).status_code == 200
    for number in range(1, 6):
        journal.append([feedback(number, {"a": 0.5}, user=f"u{number % 2}"), feedback(100 + number, app="other")])


def lines(answer):
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("chunk", [1, 2, 200])
def test_pages_of_feedback(client, monkeypatch, chunk):
    monkeypatch.setattr(routes_feedback, "CHUNK", chunk)
    first = lines(client.get("/admin/feedback?app_name=app&limit=3"))
    assert [each["query_id"] for each in first] == [1, 2, 3]
    assert first[0]["losses"] == {"a:1": 0.5}
    last = first[-1]["position"]
    assert [each["query_id"] for each in lines(client.get(f"/admin/feedback?app_name=app&after={last}"))] == [4, 5]
    assert [each["query_id"] for each in lines(client.get("/admin/feedback?app_name=other"))] == list(range(101, 106))
    assert client.get("/admin/feedback?app_name=app&after=99").text == ""


@pytest.mark.usefixtures("written")
def test_a_page_ends_where_the_journal_can_not_be_read(client, journal, monkeypatch, caplog):
    monkeypatch.setattr(routes_feedback, "CHUNK", 2)
    export = journal.export

    def fail_later(app, after, limit):
        if after:
            raise StoreError("the disk is gone")
        return export(app, after, limit)

    monkeypatch.setattr(journal, "export", fail_later)
    with caplog.at_level(logging.WARNING):
        found = lines(client.get("/admin/feedback?app_name=app"))
    assert [each["query_id"] for each in found] == [1, 2]
    assert "a page of feedback of app is cut short: the disk is gone" in caplog.messages
    answer = client.get(f"/admin/feedback?app_name=app&after={found[-1]['position']}")
    assert (answer.status_code, answer.json()["cause"]) == (503, "the disk is gone")


def test_feedback_of_an_unknown_application(client):
    answer = client.get("/admin/feedback?app_name=nope")
    assert (answer.status_code, answer.json()["cause"]) == (404, "No application with name 'nope' exists.")


@pytest.mark.usefixtures("written")
def test_a_user_is_forgotten(client, post):
    answer = post("delete_user_state", {"user_id": "u1", "app_name": "app"})
    assert answer.text == FORGOTTEN.format(user="u1", count=1)
    assert [each["user"] for each in lines(client.get("/admin/feedback?app_name=app"))] == ["", "u0", "", "u0", ""]
    assert post("delete_user_state", {"user_id": "u0"}).text == FORGOTTEN.format(user="u0", count=2)
    assert {each["user"] for each in lines(client.get("/admin/feedback?app_name=app"))} == {""}


@pytest.mark.parametrize("user", ["größe", "𝔘" * 2000, 7, "a b/c"])
def test_users_of_any_kind(post, client, journal, user):
    post("add_app", APP)
    journal.append([feedback(1, user=str(user))])
    assert post("delete_user_state", {"user_id": user}).status_code == 200
    assert lines(client.get("/admin/feedback?app_name=app"))[0]["user"] == ""


def test_users_that_can_not_be_forgotten(post):
    assert post("delete_user_state", {"user_id": "ann"}).text == FORGOTTEN.format(user="ann", count=0)
    answer = post("delete_user_state", {"user_id": "ann", "app_name": "nope"})
    assert (answer.status_code, answer.json()["cause"]) == (404, "No application with name 'nope' exists.")
    answer = post("delete_user_state", {"user_id": ""})
    assert (answer.status_code, answer.json()["cause"][:17]) == (400, "user_id is empty,")


def test_the_name_of_a_forgotten_user_is_not_logged(post, caplog):
    with caplog.at_level(logging.INFO):
        post("delete_user_state", {"user_id": "secret"})
    assert "secret" not in caplog.text


@pytest.mark.usefixtures("written")
def test_a_name_that_was_never_seen_is_not_said_to_have_been_deleted(post):
    """A misspelt name must not look done."""
    answer = post("delete_user_state", {"user_id": "nobody"})
    assert (answer.status_code, "deleted" in answer.text) == (200, False)
    assert answer.text.endswith("whether it stood anywhere is not known: a misspelt name is answered the same")


@pytest.mark.usefixtures("written")
def test_the_feedback_of_a_deleted_application_is_gone(client, post):
    post("delete_app", {"name": "app"})
    assert client.get("/admin/feedback?app_name=app").status_code == 404
    post("add_app", APP)
    assert lines(client.get("/admin/feedback?app_name=app")) == []
    assert len(lines(client.get("/admin/feedback?app_name=other"))) == 5


@pytest.mark.usefixtures("written")
def test_feedback_that_can_not_be_deleted_is_told(post, journal, monkeypatch):
    def fail(app):
        raise StoreError("the disk is full: free some space")

    monkeypatch.setattr(journal, "forget_app", fail)
    answer = post("delete_app", {"name": "app"})
    assert answer.status_code == 503
    assert answer.json()["cause"] == (
        "application 'app' is deleted, but its feedback is not (the disk is full: free some space): register it once "
        "more, and delete it again"
    )
