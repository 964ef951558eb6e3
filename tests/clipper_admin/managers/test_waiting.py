import http.server
import json
import socket
import threading

import pytest

from clipper_admin.managers import waiting
from clipper_admin.managers.programs import ReplicaId
from tests.clipper_admin.managers.polling import eventually

REPLICA = ReplicaId("m", "1", 0)
SLEEP = "print('up', flush=True); import time; time.sleep(100)"


@pytest.fixture
def admin():
    """A server that answers every request with its ``status`` and ``body``; ``asked`` has the bodies received."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            server.asked.append((self.path, self.rfile.read(int(self.headers.get("Content-Length", 0)))))
            self.send_response(server.status)
            self.end_headers()
            self.wfile.write(server.body.encode())

        do_GET = do_POST

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.status, server.body, server.asked = 200, "[]", []
        server.address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ready_after(polls):
    left = iter(["not yet"] * polls)
    return lambda: next(left, "")


def test_waiting_ends_when_nothing_is_missing(supervisor, run):
    run(SLEEP, "one")
    waiting.wait_until_ready(supervisor, ["one"], ready_after(3), timeout=10)


def test_waiting_is_bounded_and_says_what_is_missing(supervisor, run):
    run(SLEEP, "one")
    with pytest.raises(waiting.Overdue) as caught:
        waiting.wait_until_ready(supervisor, ["one"], lambda: "the answer", timeout=0.2)
    assert caught.value.missing == "the answer"


@pytest.mark.parametrize("code", ["raise SystemExit(0)", "raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)"])
def test_waiting_ends_at_once_with_a_program_that_ends(supervisor, run, code):
    run(SLEEP, "lives")
    run(code, "dies")
    with pytest.raises(waiting.Ended) as caught:
        waiting.wait_until_ready(supervisor, ["lives", "dies"], lambda: "x", timeout=15)
    assert caught.value.program == "dies"


def test_waiting_notices_a_program_that_was_started_anew(supervisor, run):
    run("import time; time.sleep(1.5)", "dies-late")
    with pytest.raises(waiting.Ended):
        waiting.wait_until_ready(supervisor, ["dies-late"], lambda: "x", timeout=15)


def test_waiting_for_a_program_that_is_gone(supervisor, run):
    with pytest.raises(waiting.Ended):
        waiting.wait_until_ready(supervisor, ["never-there"], lambda: "x", timeout=15)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "raise ValueError('no good')",
            ["ended with exit status 1 before", "    ValueError: no good", "deploy it again"],
        ),
        ("import os; os.kill(os.getpid(), 9)", ["killed (SIGKILL), perhaps because memory ran out", "more memory"]),
        ("import os; os.kill(os.getpid(), 11)", ["was terminated by SIGSEGV", "Its log is empty."]),
        (
            "print('hello', flush=True); import os; os._exit(7)",
            [
                "ended with exit status 7 before it was ready",
                "    hello",
                "itself, with status 7 and without a traceback: look for what calls os._exit",
            ],
        ),
        ("import no_such.module", ["finds no 'no_such'", "pkgs_to_install", "/the/python"]),
    ],
)
def test_a_failed_replica_is_told(folder, supervisor, run, code, expected):
    run(code, REPLICA.program)
    eventually(lambda: supervisor.processes()[REPLICA.program].ended)
    message = str(waiting.replica_failure(folder, REPLICA, "/the/python"))
    assert message.startswith("Model m:1 failed to start: the process of replica 0")
    for part in expected:
        assert part in message


def test_a_replica_that_hangs_is_asked_where(folder, supervisor, run):
    run(
        "import faulthandler, time\nfaulthandler.register(10)\n"
        "def stuck():\n    print('up')\n    time.sleep(100)\nstuck()",
        REPLICA.program,
    )
    eventually(lambda: "up" in waiting.tail(folder.log(REPLICA.program)))
    message = str(waiting.replica_timeout(folder, supervisor, REPLICA, "nobody came", 2.5))
    assert "was not ready after 2.5 s (nobody came)" in message
    assert "in stuck" in message


def test_replicas_count_when_all_frontends_have_them(admin):
    admin.body = json.dumps(
        [
            {"model_name": "m", "model_version": "1", "model_replica_id": 0, "frontends": ["b", "a", "c"]},
            {"model_name": "m", "model_version": "1", "model_replica_id": 1, "frontends": ["a"]},
        ]
    )
    assert waiting.connected_replicas(admin.address, ["a", "b"]) == {REPLICA}
    assert admin.asked == [("/admin/get_all_containers", b'{"verbose": true}')]


@pytest.mark.parametrize(
    ("status", "body"), [(500, "store is gone"), (200, "<html>"), (200, '[{"model_name": "m"}]')]
)
def test_a_management_frontend_in_trouble_is_quoted(admin, status, body):
    admin.status, admin.body = status, body
    assert "the management frontend" in waiting.connected_replicas(admin.address, [])


def test_a_get_is_fine_with_200_alone(admin):
    assert waiting.get(admin.address, "/health/ready") == ""
    admin.status, admin.body = 503, "the store is gone"
    assert waiting.get(admin.address, "/health/ready") == "503 the store is gone"


def test_nobody_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "no answer" in waiting.get(f"127.0.0.1:{port}", "/")
    assert "no answer" in waiting.connected_replicas(f"127.0.0.1:{port}", [])
    assert "takes no connection" in waiting.listening(tmp_path / "no.sock")


def test_a_missing_module_is_found_in_what_an_event_has_of_a_traceback():
    words = (
        "ERROR   container: It failed:\n    Traceback (most recent call last):\n    {}: No module named 'lost.part'"
    )
    for name in ("ModuleNotFoundError", "ImportError"):
        told = waiting.way_out("exit status 1", words.format(name), "install it")
        assert told.startswith("Python finds no 'lost' there: deploy with pkgs_to_install")
