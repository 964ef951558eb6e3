"""The metrics of real containers: their address, what they answer, and metrics that models add."""

import http.client
import os
import socket
import struct
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import clipper.container.metrics_server as serving
import clipper_admin
from clipper.container.addresses import Address
from clipper.container.metrics_server import MetricsServer, open_metrics
from clipper.rpc import wire

ONE = struct.pack("<d", 1)
HERE = {"CLIPPER_METRICS_ADDRESS": "127.0.0.1:0", "CLIPPER_REPLICA_ID": "4"}


def get(address, path="/metrics", method="GET"):
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def served(start, listen):
    """A container with metrics: the frontend's end of it and the address."""

    def serve_function(function, **more):
        frontend = listen()
        container = start(function, frontend.address, **{**HERE, **more})
        peer = frontend.accept()
        return container, peer, peer.welcome().metrics

    return serve_function


def test_batches_are_measured(served):
    def function(xs):
        if xs[0][0] == 99:
            raise ValueError("no")
        return [str(x.sum()) for x in xs]

    _, peer, address = served(function)
    peer.ask(ONE, ONE, ONE)
    peer.ask(struct.pack("<d", 99))

    status, kind, text = get(address)
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    own = 'model="sum",version="1",replica="4"'
    for name, value in (("batches", "2"), ("predictions", "4"), ("errors", "1")):
        assert lines[f"clipper_mc_{name}_total{{{own}}}"] == value
    for name in ("receive", "parse", "handle", "end_to_end"):
        assert lines[f"clipper_mc_{name}_seconds_count{{{own}}}"] == "2"
        assert float(lines[f"clipper_mc_{name}_seconds_sum{{{own}}}"]) > 0


def test_a_large_batch_is_received_from_its_first_byte_on(served):
    _, peer, address = served(lambda xs: [0] * len(xs))
    message = wire.encode_batch(1, [ONE * 10], 0)
    peer.send(message[:30])
    peer.send(message[30:])
    assert peer.outcomes() == [(True, b"0")]
    assert "clipper_mc_batches_total{" in get(address)[2]


def test_only_metrics_are_served(served):
    _, _, address = served(lambda xs: xs)
    assert get(address, "/metrics?name=x")[0] == 200
    assert get(address, "/")[0] == 404
    assert get(address, method="POST")[0] == 501


def test_without_an_address_nothing_is_served(start, listen):
    frontend = listen()
    container = start(lambda xs: xs, frontend.address, CLIPPER_METRICS_ADDRESS="")
    assert frontend.accept().welcome().metrics is None
    assert "Metrics at" not in container.log()


def test_an_address_that_is_taken_is_told_and_the_model_serves_on(start, listen):
    frontend = listen()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        container = start(lambda xs: ["1"], frontend.address, CLIPPER_METRICS_ADDRESS=taken)
        peer = frontend.accept()
        assert peer.welcome().metrics is None
        assert peer.ask(ONE) == [(True, b"1")]
        assert f"ERROR: no metrics at {taken}" in container.log()


def test_a_forked_child_does_not_keep_the_port(served):
    def function(xs):
        import os
        import time

        there, here = os.pipe()
        if not os.fork():
            os.write(here, b"1")
            time.sleep(60)
            os._exit(0)  # and not wait for ever, for what it has written itself
        return [os.read(there, 1).decode()]

    container, peer, address = served(function)
    peer.ask(ONE)
    container.process.kill()
    container.exit_code()
    with pytest.raises(ConnectionRefusedError):
        get(address)


def own_metrics(xs):
    import clipper_admin.metrics as metrics

    metrics.add_metric("asked", "Counter", "How often")
    metrics.add_metric("size", "Histogram", "How long", buckets=[1, 10])
    metrics.report_metric("asked", len(xs))
    for each in xs:
        metrics.report_metric("size", len(each))
    try:
        metrics.report_metric("nothing", 1)
    except Exception as error:
        return [[type(error).__module__, str(error)]] * len(xs)


own_metrics.__module__ = "__main__"


def check_own_metrics(peer, address):
    (outcome, _) = peer.ask(ONE, ONE * 5)
    text = get(address)[2]
    assert 'asked_total{model="sum",version="1",replica="4"} 2\n' in text
    assert 'size_bucket{model="sum",version="1",replica="4",le="1"} 1\n' in text
    assert 'size_bucket{model="sum",version="1",replica="4",le="10"} 2\n' in text
    assert b"nothing has not been added" in outcome.data
    return outcome.data


def test_a_model_adds_metrics_where_clipper_is_installed(served):
    installed = Path(clipper_admin.__file__).parents[1]
    _, peer, address = served(own_metrics, PYTHONPATH=str(installed))
    assert b"clipper_admin.exceptions" in check_own_metrics(peer, address)


def test_a_model_adds_metrics_where_clipper_is_not_installed(runtime, listen, save, environment, tmp_path):
    """As in an isolated environment: numpy and cloudpickle are there, and no clipper_admin."""
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = tmp_path / "env" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    import cloudpickle
    import numpy

    for package in (cloudpickle, numpy):
        source = Path(package.__file__).parent
        for each in source.parent.glob(f"{source.name}*"):
            (site / each.name).symlink_to(each)
    frontend = listen()
    settings = environment | HERE
    settings |= {"CLIPPER_MODEL_PATH": str(save(own_metrics)), "CLIPPER_ADDRESS": frontend.address}
    with subprocess.Popen([python, runtime], env=settings, stdin=subprocess.DEVNULL) as process:
        try:
            peer = frontend.accept()
            assert b"clipper.container.metrics" in check_own_metrics(peer, peer.welcome().metrics)
        finally:
            process.kill()


def test_in_a_session_metrics_are_kept_in_the_process_and_nothing_starts():
    program = (
        "import threading, os, clipper_admin.metrics as m\n"
        "from clipper_admin import ClipperException\n"
        "m.add_metric('level', 'Gauge', 'x'); m.report_metric('level', 2)\n"
        "from clipper.container.metrics import REGISTRY\n"
        "print(REGISTRY.render().splitlines()[-1], threading.active_count())\n"
        "try: m.add_metric('x', 'Timer', '')\n"
        "except ClipperException as error: print(error)\n"
        "try: m.report_metric('x', 1)\n"
        "except ClipperException as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    first, second, third = done.stdout.splitlines()
    assert first == "level 2 1"
    assert second.startswith("Metric type needs to be one of ['Counter', 'Gauge', 'Histogram', 'Summary']")
    assert third.startswith("x has not been added.")


# -- the server itself -----------------------------------------------------------------------------------------------


@pytest.fixture
def server():
    running = MetricsServer(Address("127.0.0.1", 0), lambda: "a 1\n")
    yield running
    running.close()


def test_who_says_nothing_holds_up_others_for_a_while_only(monkeypatch, server):
    monkeypatch.setattr(serving, "PATIENCE", 0.05)
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port))) as silent:
        assert get(server.address)[2] == "a 1\n"
        silent.settimeout(30)
        assert silent.recv(1) == b""


def test_a_request_without_an_end_is_cut(server):
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as endless:
        endless.sendall(b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"y" * serving.LONGEST_REQUEST)
        assert endless.recv(100)
    assert get(server.address)[2] == "a 1\n"


def test_a_server_on_every_address_tells_one_of_its_own():
    server = MetricsServer(Address("0.0.0.0", 0), lambda: "a 1\n")
    try:
        host, _ = server.address.split(":")
        assert host not in ("0.0.0.0", "")
        assert get(server.address)[2] == "a 1\n"
    finally:
        server.close()


def test_a_name_that_means_nothing_is_told(capsys):
    assert open_metrics(Address("no such host", 0), lambda: "") is None
    assert "no metrics at no such host:0" in capsys.readouterr().err


def test_closing_frees_the_port(server):
    server.close()
    with pytest.raises(OSError, match=os.strerror(111)):
        get(server.address)
