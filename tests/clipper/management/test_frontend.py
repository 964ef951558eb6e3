"""The real process on a real socket."""

import contextlib
import signal
import socket

import httpx
import pytest

from clipper.errors import ConfigError
from clipper.management.frontend import bind
from clipper.store.sqlite_journal import SqliteJournal
from tests.clipper.management.conftest import SECONDS, started, wait_for_address
from tests.clipper.management.feedback import feedback

APP = {"name": "hello-world", "input_type": "doubles", "default_output": "-1.0", "latency_slo_micros": 100_000}


def test_what_was_registered_survives_kill_9(tmp_path):
    arguments = ("--store", tmp_path / "s", "--management-port", 0)
    with started(*arguments) as process:
        address = wait_for_address(process)
        assert httpx.get(f"{address}/admin/ping", timeout=SECONDS).text == "PONG"
        answer = httpx.post(f"{address}/admin/add_app", json=APP, timeout=SECONDS)
        assert answer.text == "Successfully added application with name 'hello-world'"
        process.kill()
        assert process.wait(SECONDS) == -signal.SIGKILL

    with started(*arguments) as process:
        address = wait_for_address(process)
        answer = httpx.post(f"{address}/admin/get_all_applications", json={"verbose": False}, timeout=SECONDS)
        assert answer.json() == ["hello-world"]
        with contextlib.closing(SqliteJournal(tmp_path / "s.journal")) as journal:  # as a query frontend has it
            journal.append([feedback(1, {"a": 0.5}, app="hello-world")])
        found = httpx.get(f"{address}/admin/feedback?app_name=hello-world", timeout=SECONDS)
        assert found.json()["losses"] == {"a:1": 0.5}
        process.terminate()
        assert process.wait(SECONDS) == 0
        assert process.stderr.read() == ""


def test_oversize_bodies_on_a_socket(tmp_path):
    chunks = (b" " * 10_000 for _ in range(1_000))
    with started("--store", tmp_path / "s", "--management-port", 0, "--body-limit", 100_000) as process:
        with httpx.Client(base_url=wait_for_address(process), timeout=SECONDS) as client:
            for content in (b" " * 10_000_000, chunks):
                assert client.post("/admin/add_app", content=content).status_code == 413
                assert client.get("/admin/ping").text == "PONG"
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0


def fails_to_start(*arguments, **environment):
    """The one line of the log."""
    with started(*arguments, **environment) as process:
        _, log = process.communicate(timeout=SECONDS)
        assert process.returncode == 1
        assert log.count("\n") == 1
        return log


def test_a_port_in_use_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        log = fails_to_start("--store", tmp_path / "s", "--management-port", port)
    assert f"can't start: can't listen on 127.0.0.1:{port}" in log
    assert "choose another with --management-port" in log


def test_bad_settings_are_told(tmp_path):
    assert "no store is given: name a file or a Redis with --store or CLIPPER_STORE" in fails_to_start()
    assert "CLIPPER_MANAGEMENT_PORT='x' is not int" in fails_to_start(CLIPPER_MANAGEMENT_PORT="x")
    assert "is missing: make it, or give another file" in fails_to_start("--store", tmp_path / "no" / "s")


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("256.0.0.1", 0), ("::2", 0)])
def test_addresses_that_can_not_be_had(host, port):
    with pytest.raises(ConfigError, match=f"can't listen on {host}:{port}"):
        bind(host, port)
