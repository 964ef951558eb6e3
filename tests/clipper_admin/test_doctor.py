import json
import os
import socket

import pytest

from clipper_admin import doctor
from clipper_admin.managers.local import LocalContainerManager
from clipper_admin.open_ports import is_free


def test_this_machine_is_looked_at(tmp_path):
    findings = doctor.examine(LocalContainerManager(home=tmp_path), {"query": 1337, "rpc": 0})
    assert ("rpc port", "any free one") in {(each.subject, each.finding) for each in findings}
    subjects = {each.subject for each in findings}
    assert {"python", "packages", "servers", "query port 1337", "home", "disk", "sockets"} <= subjects
    assert all(bool(each.advice) != each.ok for each in findings)
    assert next(each for each in findings if each.subject == "packages").finding.count(",") >= 10


def test_an_old_python():
    finding = doctor.check_python((3, 10, 2))
    assert not finding.ok
    assert "3.11" in finding.advice


def test_a_missing_package():
    missing, packages = doctor.check_packages(["nowhere-to-be-found>=1", "numpy>=1.26", "pytest; extra == 'test'"])
    assert (missing.subject, missing.ok) == ("package nowhere-to-be-found", False)
    assert "pip install 'nowhere-to-be-found>=1'" in missing.advice
    assert packages.finding.startswith("numpy ")


def test_servers_are_compiled_or_not(tmp_path):
    assert doctor.check_servers(tmp_path).finding.startswith("not compiled")
    (tmp_path / "query.cpython-311-x86_64-linux-gnu.so").touch()
    assert doctor.check_servers(tmp_path).finding == "compiled"


def test_ports():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        ports = {"query": taken}
        assert not is_free(taken)
        (held,) = doctor.check_ports(ports, own=set())
        assert not held.ok
        assert f"(pid {os.getpid()})" in held.finding
        assert "--query-port 0" in held.advice
        (ours,) = doctor.check_ports(ports, own={taken})
        assert (ours.ok, ours.finding) == (True, "this cluster's")
    (free,) = doctor.check_ports(ports, own=set())
    assert (free.ok, free.finding) == (True, "free")


def test_a_home_that_can_not_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    finding = doctor.check_home(file / "home")
    assert not finding.ok
    assert "--home" in finding.advice
    assert doctor.check_home(tmp_path / "new" / "home").ok


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_DISK_BYTES", 1 << 60)
    assert not doctor.check_disk(tmp_path).ok


def test_sockets_go_elsewhere_when_the_path_is_long(tmp_path):
    finding = doctor.check_sockets(tmp_path / ("long" * 30))
    assert finding.ok
    assert "long" not in finding.finding


def test_clusters_left_behind(tmp_path, monkeypatch):
    folder = tmp_path / "clusters" / "old"
    folder.mkdir(parents=True)
    cluster = {"host": "127.0.0.1", "query_port": 1, "management_port": 2, "rpc_port": 3, "frontends": 1}
    (folder / "cluster.json").write_text(json.dumps({**cluster, "sockets": str(folder / "sockets")}))
    (stopped,) = doctor.check_clusters(tmp_path)
    assert stopped.ok
    assert "`clipper start --cluster old`" in stopped.finding
    monkeypatch.setattr("clipper_admin.managers.processes.children", lambda socket: ["a process"])
    (dead,) = doctor.check_clusters(tmp_path)
    assert not dead.ok
    assert "`clipper stop --cluster old`" in dead.advice


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_free_port(host):
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port, host)
    assert is_free(port, host)
