import json
import os
import stat
import threading
from pathlib import Path

import pytest

from clipper.config import Config
from clipper_admin import defaults
from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.folders import (
    SOCKET_PATH_LIMIT,
    Cluster,
    ClusterFolder,
    default_home,
    disk_errors,
    locked,
    private_folder,
    valid_name,
    write_atomically,
)

CLUSTER = Cluster("127.0.0.1", 1, 2, 3, frontends=1, sockets="/x")


def test_a_cluster_is_read_back(folder):
    assert folder.read() is None
    folder.write(CLUSTER)
    assert folder.read() == CLUSTER


def test_what_changed_is_named_as_it_was_given():
    assert CLUSTER.changes(CLUSTER) == []
    moved = Cluster("127.0.0.1", 14_337, 2, 4, 2, "/y", cache_size=0, request_timeout=1.0, content_timeout=2.0)
    assert moved.changes(CLUSTER) == [
        "num_frontend_replicas=2 (before: 1)",
        "clipper_query_port=14337 (before: 1)",
        "clipper_rpc_port=4 (before: 3)",
        "cache_size=0 (before: 33554432)",
        "qf_http_timeout_request=1.0 (before: 5.0)",
        "qf_http_timeout_content=2.0 (before: 300.0)",
    ]


def test_what_nobody_gave_is_as_before():
    host, port, size, seconds = defaults.HOST, defaults.QUERY_PORT, defaults.CACHE_SIZE, defaults.REQUEST_TIMEOUT
    before = Cluster("::1", 14_337, 14_338, 17_000, 2, "/x", cache_size=7, request_timeout=1.0, content_timeout=2.0)
    by_default = Cluster(host, port, 1338, 0, defaults.FRONTENDS, "", size, seconds, content_timeout=300.0)
    assert by_default.taking_up(before) == Cluster("::1", 14_337, 1338, 0, 2, "", 7, 1.0, 300.0)
    given = Cluster("127.0.0.1", 1337, 1338, 7000, 1, "")
    assert given.taking_up(before) == given


def test_a_record_written_before_a_field_was_there_is_read(folder):
    folder.write(CLUSTER)
    fields = json.loads(folder.record.read_text())
    for each in ("cache_size", "request_timeout", "content_timeout"):
        del fields[each]
    folder.record.write_text(json.dumps(fields))
    assert folder.read() == CLUSTER


def test_defaults_are_those_of_the_servers():
    config = Config()
    cluster = (CLUSTER.cache_size, CLUSTER.request_timeout, CLUSTER.content_timeout)
    assert cluster == (defaults.CACHE_SIZE, defaults.REQUEST_TIMEOUT, defaults.CONTENT_TIMEOUT)
    ports = (defaults.QUERY_PORT, defaults.MANAGEMENT_PORT, defaults.RPC_PORT)
    assert (defaults.HOST, *ports) == (config.host, config.query_port, config.management_port, config.rpc_port)
    assert cluster == (config.cache_bytes, config.request_timeout, config.content_timeout)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "x"}', '{"other": 1}'])
def test_a_broken_record_is_no_cluster(folder, text):
    folder.record.write_text(text)
    assert folder.read() is None


def test_create_and_remove(folder):
    (folder.logs / "a.log").write_text("x")
    folder.create()
    assert (folder.logs / "a.log").exists()
    folder.remove()
    assert list(folder.path.parent.iterdir()) == []
    folder.remove()


def test_sockets_lie_inside_where_they_fit():
    assert ClusterFolder(Path("/home/u/.clipper/clusters/c")).sockets() == Path("/home/u/.clipper/clusters/c/sockets")


@pytest.mark.parametrize("path", ["/" + "long/" * 30, "/with blank", "/a,b", "/100%", "/ü", "/it's", "/x;y"])
def test_sockets_move_out_where_they_do_not_fit(path):
    sockets = ClusterFolder(Path(path)).sockets()
    assert sockets.name.startswith(f"clipper-{os.getuid()}-")
    assert len(str(sockets / "supervisor.sock")) <= SOCKET_PATH_LIMIT
    assert sockets != ClusterFolder(Path(path + "x")).sockets()
    assert sockets == ClusterFolder(Path(path)).sockets()


def test_the_longest_path_inside_can_be_bound_by_supervisor():
    longest = Path("/" + "x" * (SOCKET_PATH_LIMIT - len("//sockets/supervisor.sock")))
    assert ClusterFolder(longest).sockets() == longest / "sockets"
    assert ClusterFolder(Path(f"{longest}x")).sockets() != Path(f"{longest}x") / "sockets"
    assert len(f"{longest}/sockets/supervisor.sock.4194304") < 104


def test_a_private_folder_is_closed_to_others(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ClipperException, match="not a folder of this user"):
        private_folder(tmp_path / "link")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder of somebody else")
def test_a_folder_of_somebody_else_is_refused(tmp_path):
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(ClipperException, match="not a folder of this user"):
        private_folder(tmp_path)


def test_writing_replaces_as_a_whole_and_is_private(tmp_path):
    write_atomically(tmp_path / "f", "one")
    write_atomically(tmp_path / "f", "two")
    assert (tmp_path / "f").read_text() == "two"
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_a_failed_write_leaves_the_old_text(tmp_path):
    write_atomically(tmp_path / "f", "one")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "f", "\ud800")
    assert (tmp_path / "f").read_text() == "one"
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_a_folder_is_locked_itself(tmp_path):
    with locked(tmp_path, 1, "busy"), pytest.raises(ClipperException, match=r"^busy"):  # noqa: SIM117
        with locked(tmp_path, 0, "busy"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_can_not_be_made_says_why(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ClipperException, match=r"Cannot take a lock in .*file.lock: .*File exists"):  # noqa: SIM117
        with locked(tmp_path / "file" / "lock", 0, "busy"):
            pass


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    with locked(tmp_path / "lock", 1, "busy"), pytest.raises(ClipperException, match=r"^busy .*lock"):  # noqa: SIM117
        with locked(tmp_path / "lock", 0, "busy"):
            pass
    with locked(tmp_path / "lock", 0, "busy"):
        pass


def test_a_lock_is_waited_for(tmp_path):
    held, entered = threading.Event(), threading.Event()

    def hold():
        with locked(tmp_path / "lock", 1, "busy"):
            held.set()
            entered.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    release = threading.Timer(0.2, entered.set)
    release.start()
    with locked(tmp_path / "lock", 10, "busy"):
        assert entered.is_set()
    holder.join()
    release.join()


def test_disk_errors_say_what_could_not_be_done():
    with pytest.raises(ClipperException) as caught, disk_errors("start the cluster", Path("/full")):
        raise OSError(28, "No space left on device")
    assert "Cannot start the cluster in /full" in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert "free space" in str(caught.value)


@pytest.mark.parametrize("name", ["a", "default-cluster", "0", "x" * 63])
def test_good_names(name):
    assert valid_name("cluster name", name) == name


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "../a", "a b", "a\n", "x" * 64, "ü"])
def test_bad_names(name):
    with pytest.raises(ClipperException, match="a cluster name must be a valid DNS-1123"):
        valid_name("cluster name", name)


def test_home_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("CLIPPER_HOME", "/h")
    assert default_home() == Path("/h")
    monkeypatch.setenv("CLIPPER_HOME", "")
    assert default_home() == Path("~/.clipper")


def test_the_record_is_plain_json(folder):
    folder.write(CLUSTER)
    assert json.loads(folder.record.read_text())["query_port"] == 1
