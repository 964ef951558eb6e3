import logging
import socket

import pytest
import requests

from clipper_admin.client import Client
from clipper_admin.exceptions import ClipperException


@pytest.fixture
def client(server):
    client = Client(server.addr, server.addr, logging.getLogger("clipper_admin.test"))
    yield client
    client.close()


def test_admin_posts_fields_and_gives_the_text(client, server):
    answer = client.admin("add_app", name="a", input_type="doubles", default_output="-1.0", latency_slo_micros=1000)
    assert answer == "Successfully added application with name 'a'"
    assert server.registry.requests[-1] == (
        "/admin/add_app",
        {"name": "a", "input_type": "doubles", "default_output": "-1.0", "latency_slo_micros": 1000},
    )


def test_a_refusal_carries_status_and_body_and_is_logged(client, caplog):
    with pytest.raises(ClipperException) as refused:
        client.admin("delete_app", name="größe")
    message = str(refused.value)
    assert message.startswith("Received error status code: 400 and message: ")
    assert "Application 'gr\\u00f6\\u00dfe' does not exist" in message
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [("ERROR", message)]


def test_application_names_are_quoted(client, server):
    client.predict("a/b ?", {"input": [1.0]})
    assert server.registry.requests[-1][0] == "/a%2Fb%20%3F/predict"


def test_metrics_are_asked_for_as_json(client, server):
    assert client.metrics() == {"counters": []}
    assert server.registry.requests == [("/metrics", "application/json")]


def test_an_answer_that_is_not_json(client, server):
    server.registry.failures["/metrics"] = (200, "<html>")
    with pytest.raises(ClipperException, match=r"answered what is not JSON.*another program on this port"):
        client.metrics()


def test_nobody_listens():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # bound, not listening: refused at once, and nobody else's
        addr = f"127.0.0.1:{holder.getsockname()[1]}"
        client = Client(addr, addr, logging.getLogger("clipper_admin.test"))
        with pytest.raises(ClipperException) as failed:
            client.admin("get_all_applications", verbose=False)
        client.close()
    assert f"http://{addr}/admin/get_all_applications did not answer" in str(failed.value)
    assert "`clipper status`" in str(failed.value)
    assert isinstance(failed.value.__cause__, requests.ConnectionError)


def test_a_server_that_never_answers(monkeypatch):
    monkeypatch.setattr("clipper_admin.client.ADMIN_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addr = f"127.0.0.1:{silent.getsockname()[1]}"
        client = Client(addr, addr, logging.getLogger("clipper_admin.test"))
        with pytest.raises(ClipperException, match=r"did not answer within 0.05 seconds \(ReadTimeout\)"):
            client.admin("get_all_models", verbose=False)
        client.close()


def test_proxies_of_the_environment_stay_out_of_the_way(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = Client(server.addr, server.addr, logging.getLogger("clipper_admin.test"))
    client.check()
    client.close()


def test_one_connection_serves_many_requests(client, server, monkeypatch):
    accepted = []
    process = server.process_request
    monkeypatch.setattr(server, "process_request", lambda *args: (accepted.append(args), process(*args)))
    for _ in range(5):
        client.check()
    assert len(accepted) == 1
