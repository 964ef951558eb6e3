"""What is particular to Redis: its errors, its durability, what happens when it goes away and comes back."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from clipper.errors import ConfigError, StoreError
from clipper.store.journal import StateKey, StoredState
from clipper.store.opening import open_journal, open_store, shown_store
from clipper.store.redis import RedisStore
from clipper.store.redis_address import parse_address
from clipper.store.redis_journal import RedisJournal
from clipper.types import Application, Registry
from tests.clipper.store.redis_process import DURABLE, RedisProcess, free_port
from tests.clipper.store.test_journal import decision, feedback, kept


def filled(revision=0, size=10):
    app = Application(name="a", input_type="doubles", default_output="x" * size, latency_slo_micros=1)
    return Registry(revision=revision, applications={"a": app})


@pytest.fixture
def start(tmp_path_factory):
    """Starts servers of one test, with these options."""
    started = []

    def start(*options, **more):
        started.append(RedisProcess(tmp_path_factory.mktemp("redis"), *options, **more))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def server(start):
    return start(*DURABLE)


@pytest.fixture
def store(server, opened):
    opened.append(open_store(server.address()))
    return opened[-1]


@pytest.fixture
def journal(server, opened):
    opened.append(open_journal(server.address()))
    return opened[-1]


def forget_pause(each):
    """The next call tries to connect, however short ago that failed."""
    each._server._not_before = 0.0


def test_a_connection_lost_while_idle_is_made_anew_and_all_is_read_again(server, store, journal):
    store.read(), journal.changed()
    assert (store.changed(), journal.changed()) == (False, False)
    with server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    for each in (store, journal):
        assert each.changed(), "all is to be read again"
    assert not journal.changed()
    assert store.read() == Registry()
    assert not store.changed()


def test_a_revision_that_is_given_twice_is_read_anew(server, store):
    """Redis has lost its last second, and other changes have come since."""
    store.commit(store.read(), filled())
    assert store.read() == filled(1)
    server.kill()
    server.start()
    with server.client() as client, closing(open_store(server.address())) as other:
        client.delete("clipper:{test}:registry")
        other.commit(other.read(), filled(size=20))
    forget_pause(store)
    assert store.changed()
    assert store.read() == filled(1, 20)
    assert not store.changed()


def test_what_was_acknowledged_is_there_after_kill_9(server, store, journal):
    store.commit(store.read(), filled())
    ids = store.reserve_query_ids(100)
    journal.append([feedback(number, user="eve") for number in range(50)])
    journal.remember(kept([decision(77, at=4e9)]))
    journal.save({StateKey("digits", ""): StoredState(1, 50, [1])}, 50)
    server.kill()
    for each in (store, journal):
        for _ in range(3):
            with pytest.raises(StoreError, match=r"can't be reached .*: start it, or correct the address"):
                each.changed()
    server.start()
    for each in (store, journal):
        forget_pause(each)
        assert each.changed()
    assert store.read() == filled(1)
    assert store.reserve_query_ids(1) == ids + 100
    assert [each.position for each in journal.read(0, 100)] == list(range(1, 51))
    assert journal.append([feedback(3), feedback(100)]) == [False, True]
    assert journal.recall(77) == decision(77, at=4e9)
    assert journal.load([StateKey("digits", "")]) == {StateKey("digits", ""): StoredState(1, 50, [1])}
    assert journal.checkpoint() == 50


def test_feedback_that_is_acknowledged_while_redis_is_killed_is_kept(server, journal):
    acknowledged, enough, failed = [], threading.Event(), threading.Event()

    def write():
        for number in range(1_000_000):
            try:
                assert journal.append([feedback(number)]) == [True]
            except StoreError:
                failed.set()
                return
            acknowledged.append(number)
            if number == 200:
                enough.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert enough.wait(30)
    server.kill()
    assert failed.wait(30)
    writer.join(30)
    server.start()
    forget_pause(journal)
    found = {each.feedback.decision.query_id for each in journal.read(0, 1_000_000)}
    assert set(acknowledged) <= found
    assert len(found) <= len(acknowledged) + 1, "the last may have been written, and its answer lost"


def test_attempts_to_connect_do_not_follow_each_other_without_a_pause(server, store, monkeypatch):
    server.kill()
    with pytest.raises(StoreError):
        store.changed()
    tries = []
    connection = store._server._connection
    connect = connection.connect
    monkeypatch.setattr(connection, "connect", lambda: (tries.append(1), connect()))
    causes = set()
    for _ in range(200):
        with pytest.raises(StoreError) as caught:
            store.changed()
        causes.add(caught.value.cause)
    assert len(tries) < 10
    assert all("can't be reached" in each for each in causes)
    for _ in range(10):
        forget_pause(store)
        with pytest.raises(StoreError):
            store.changed()
    assert store._server._pause == 1.0


def test_waiting_for_an_answer_is_bounded(server, opened):
    store = RedisStore(parse_address(server.address()), timeout=0.1)
    opened.append(store)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match=r"did not answer within 0.1 s: see whether it is overloaded"):
            store.read()
        with pytest.raises(StoreError, match=r"did not answer within 0.1 s"):
            store.read()
    finally:
        os.kill(server.pid, signal.SIGCONT)
    forget_pause(store)
    assert store.read() == Registry(), "and no answer is taken for another's"


def test_a_wrong_password_is_told_without_telling_it(start):
    server = start(password="s3cret/+@ü")
    with closing(open_store(server.address())) as store:
        assert store.read() == Registry()
    for wrong in ("not-it", ""):
        with pytest.raises(StoreError, match="refuses the user or the password: correct them") as caught:
            open_store(server.address(password=wrong))
        assert "not-it" not in caught.value.cause


def test_a_wrong_address_is_named():
    port = free_port()
    with pytest.raises(StoreError, match=rf"the Redis redis://127.0.0.1:{port}/0 can't be reached .*refused"):
        open_store(f"redis://user:word@127.0.0.1:{port}/0")
    with pytest.raises(StoreError, match=r"nowhere.invalid:1\S* can't be reached"):
        open_journal("redis://nowhere.invalid:1")


def test_what_is_no_redis_is_told():
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = parse_address(f"redis://127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(StoreError, match=r"did not answer within 0.1 s"):
            RedisStore(address, timeout=0.1)


def test_a_unix_socket_and_another_database_are_addresses(start, tmp_path):
    start("--unixsocket", str(tmp_path / "s"))
    with closing(open_store(f"unix://{tmp_path}/s?cluster=a&db=3")) as store:
        store.commit(Registry(), filled())
    with closing(open_store(f"unix://{tmp_path}/s?cluster=a")) as store:
        assert store.read() == Registry()


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("redis://host:port", "is not an address"),
        ("redis://host:99999", "is not an address"),
        ("redis://:sesame@host/?cluster=", "names no cluster"),
        ("redis://host/?cluster=a{b}", "names no cluster"),
        ("redis://:a/sesame@host:1/0", "not an address: .* in the password %2F"),
        ("redis://:a?sesame@host:1/0", "not an address"),
        ("redis://host/?decode_responses=1", "has the setting 'decode_responses'"),
        ("redis://host/notanumber?cluster=a", "is not an address: .* where DB is a number"),
        ("redis://:p@w/#sesame@host:1/0", "not an address: .* %23 for #"),
        ("postgres://host/db", "no store of the kind postgres://"),
    ],
)
def test_an_address_that_is_none_is_told(address, complaint):
    with pytest.raises((ConfigError, StoreError), match=complaint) as caught:
        open_store(address)
    assert "sesame" not in caught.value.cause


def test_addresses_are_shown_without_secrets():
    text = "rediss://user:p%40ss@redis.example:6380/1?ssl_certfile=mine&cluster=a"
    assert shown_store(text) == "rediss://redis.example:6380/1?cluster=a"
    assert shown_store("/var/lib/clipper.db") == "/var/lib/clipper.db"
    assert parse_address(text)[:2] == ("rediss://user:p%40ss@redis.example:6380/1?ssl_certfile=mine", "a")


def test_a_read_only_replica_is_told(server, start):
    replica = start("--replicaof", "127.0.0.1", str(server.port))
    with pytest.raises(StoreError, match="is a read-only replica and nothing was changed: give the address of its"):
        open_store(replica.address())


def test_a_master_that_became_a_replica_is_left(server, store, start):
    master = start(*DURABLE)
    with server.client() as client:
        client.replicaof("127.0.0.1", master.port)
    with pytest.raises(StoreError, match=r"read-only replica|has lost the data"):
        store.commit(Registry(), filled())
    assert store._server._connected is False, "its name may lead to another next time"


def test_a_full_memory_is_told_and_survived(start, opened):
    server = start(*DURABLE)
    store, journal = open_store(server.address()), open_journal(server.address())
    opened += store, journal
    store.commit(Registry(), filled())
    with server.client() as client:
        client.config_set("maxmemory", 1)
        for _ in range(2):
            with pytest.raises(StoreError, match="is out of memory and nothing was changed: raise its maxmemory"):
                store.commit(filled(1), filled(1, 20))
            with pytest.raises(StoreError, match="is out of memory"):
                journal.append([feedback(1)])
        assert store.read() == filled(1)
        client.config_set("maxmemory", 0)
    store.commit(filled(1), filled(1, 20))
    assert journal.append([feedback(1)]) == [True]


def test_clusters_do_not_see_each_other(server, opened):
    one, other = open_store(server.address("one")), open_store(server.address("other"))
    journals = open_journal(server.address("one")), open_journal(server.address("other"))
    opened += one, other, *journals
    one.commit(one.read(), filled())
    one.report("frontend-0", 1, [])
    journals[0].append([feedback(1)])
    journals[0].remember(kept([decision(2, at=4e9)]))
    assert (other.read(), other.frontends(), other.reserve_query_ids(1)) == (Registry(), {}, 0)
    assert not other.changed()
    assert (journals[1].read(0, 10), journals[1].recall(2), journals[1].recall(1)) == ([], None, None)
    assert journals[1].append([feedback(1)]) == [True]
    journals[1].forget_app("digits")
    assert len(journals[0].read(0, 10)) == 1
    with server.client() as client:
        assert all(key.startswith((b"clipper:{one}:", b"clipper:{other}:")) for key in client.scan_iter())


@pytest.mark.parametrize("how", ["emptied", "started again"])
def test_lost_data_is_no_empty_registry(start, opened, how):
    """Frontends go on with what they know; they would have nothing left otherwise."""
    server = start()
    store, journal = open_store(server.address()), open_journal(server.address())
    opened += store, journal
    store.commit(store.read(), filled())
    store.read()
    journal.append([feedback(1)])
    if how == "emptied":
        with server.client() as client:
            client.flushall()
    else:
        server.kill()
        server.start()
    assert store.changed()
    for call in (store.read, lambda: journal.read(0, 10), lambda: journal.append([feedback(2)])):
        with pytest.raises(StoreError, match=r"has lost the data of the cluster .*: put back a backup"):
            call()


class Backup:
    """All that Redis holds now; put back as a server does that starts with it: nobody sees a part."""

    def __init__(self, client):
        self._client = client
        self._content = {key: (max(client.pttl(key), 0), client.dump(key)) for key in client.scan_iter()}

    def put_back(self):
        with self._client.pipeline(transaction=True) as restoring:
            restoring.flushall()
            for key, (lifetime, value) in self._content.items():
                if value is not None:
                    restoring.restore(key, lifetime, value)
            restoring.execute()


def test_feedback_that_is_gone_again_is_noticed_until_it_is_accepted(server, journal, opened):
    opened.append(open_journal(server.address()))
    other = opened[-1]
    journal.append([feedback(number) for number in range(3)])
    assert not journal.lost(), "it has read nothing"
    for each in (journal, other):
        assert len(each.read(0, 10)) == 3
        assert not each.lost()
    with server.client() as client:
        backup = Backup(client)
        journal.append([feedback(number) for number in range(3, 6)])
        assert len(journal.read(3, 10)) == 3
        backup.put_back()
    for each in (journal, other):
        assert each.changed()
    assert journal.lost()
    assert not other.lost(), "all that it has read is there"
    other.append([feedback(number) for number in range(10, 14)])
    assert journal.changed()
    assert journal.lost(), "another has its place"
    journal.accept_loss()
    assert not journal.lost()
    assert [each.feedback.decision.query_id for each in journal.read(0, 10)] == [0, 1, 2, 10, 11, 12, 13]


def test_a_connection_that_broke_is_no_loss(server, journal):
    journal.append([feedback(1)])
    journal.read(0, 10)
    server.kill()
    server.start()
    forget_pause(journal)
    assert journal.changed()
    assert not journal.lost()


def test_nothing_is_given_twice_though_redis_lost_its_last_second(server, store, journal):
    store.reserve_query_ids(100)
    journal.append([feedback(number) for number in range(5)])
    with server.client() as client:  # as after a power cut, with appendfsync everysec
        client.set("clipper:{test}:query-ids", 0)
        client.hset("clipper:{test}:journal", "position", 2)
    assert store.reserve_query_ids(1) == 100
    journal.append([feedback(10)])
    assert journal.read(5, 10)[0].position == 6


@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        (DURABLE, []),
        ((), ["has no append-only file, and forgets what it has acknowledged: set appendonly yes"]),
        (
            (*DURABLE, "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"),
            ["throws away data when its memory is full (allkeys-lru): set maxmemory-policy noeviction"],
        ),
    ],
    ids=["durable", "no file", "evicting"],
)
def test_a_redis_that_forgets_is_warned_about_once(start, opened, caplog, options, warnings):
    server = start(*options)
    with caplog.at_level(logging.WARNING):
        opened += open_store(server.address()), open_journal(server.address())
    assert len(caplog.messages) == len(warnings)
    assert all(warning in message for warning, message in zip(warnings, caplog.messages, strict=True))


def test_a_user_with_few_rights_is_enough(start, opened, caplog):
    server = start(*DURABLE)
    with server.client() as client:
        rights = ["+@read", "+@write", "+@scripting", "+@connection", "+time", "-info"]
        client.acl_setuser("clipper", True, passwords=["+word"], keys=["clipper:*"], commands=rights)
        client.acl_setuser("nobody", True, passwords=["+word"], commands=["+@connection"])
    address = server.address().replace("redis://", "redis://clipper:word@")
    store, journal = open_store(address), open_journal(address)
    opened += store, journal
    assert "does not tell how it is configured" in caplog.text
    store.commit(store.read(), filled())
    store.report("frontend-0", 1, [])
    assert journal.append([feedback(1)]) == [True]
    assert store.frontends() == {"frontend-0": 1}
    with pytest.raises(StoreError, match="forbids a command"):
        open_store(server.address().replace("redis://", "redis://nobody:word@"))


def test_reports_are_by_redis_own_clock_and_leave_no_key(server, store):
    store.report("frontend-0", 3, [])
    assert store.frontends() == {"frontend-0": 3}
    with server.client() as client:
        keys = [b"clipper:{test}:frontends", b"clipper:{test}:reports"]
        assert all(0 < client.pttl(key) <= 15_000 for key in keys)


def test_decisions_expire_by_themselves(server, journal):
    journal.remember(kept([decision(5, at=4e9), decision(5000, at=4e9)]))
    with server.client() as client:
        keys = [f"clipper:{{test}}:{each}" for each in ("decisions:0", "decisions:1", "kept", "counts")]
        assert all(3_500_000 < client.pttl(key) <= 3_600_000 for key in keys)
        assert client.hget("clipper:{test}:counts", "all") == b"2"


def test_a_record_that_can_not_be_read_is_told(server, store, journal):
    with server.client() as client:
        client.hset("clipper:{test}:registry", "links", "{")
        client.hset("clipper:{test}:states:a", "", b"1 1 \xc1")
        client.set("clipper:{test}:feedback", "of another program")
    with pytest.raises(StoreError, match="holds a record that can't be read"):
        store.read()
    with pytest.raises(StoreError, match="holds a record that can't be read"):
        journal.load([StateKey("a", "")])
    with pytest.raises(StoreError, match="has keys of another program"):
        journal.read(0, 10)


def test_a_newer_schema_is_refused(server, store):
    with server.client() as client:
        client.hset("clipper:{test}:store", "schema", 2)
    with pytest.raises(StoreError, match=r"newer Clipper \(its schema is 2, this Clipper knows 1\): upgrade"):
        open_store(server.address())


def test_a_closed_store_says_so(store):
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.read()


def test_users_are_forgotten_whatever_they_are_called_and_however_many_there_are(server, opened):
    journal = RedisJournal(parse_address(server.address()))
    opened.append(journal)
    name = "so meb\0dy \ud800 12 34 "
    journal.append([feedback(number, user=f"user-{number}") for number in range(3000)])
    journal.append([feedback(3000 + number, user=name) for number in range(3)])
    journal.append([feedback(4000, user=name, app="other")])
    journal.forget_user("digits", name)
    journal.append([feedback(5000, user=name)])
    entries = [each.feedback for each in journal.read(3000, 10)]
    assert [each.decision.user for each in entries] == ["", "", "", name, name, name]
    assert [each.forget for each in entries] == [False] * 4 + [True, False]
    assert len({each.feedback.decision.user for each in journal.read(0, 3000)}) == 3000


def test_without_the_package_the_error_says_how_to_install_it():
    program = (
        "import sys; sys.modules['redis'] = None\n"
        "from clipper.errors import ConfigError\n"
        "from clipper.store.opening import open_journal, open_store\n"
        "for each in (open_store, open_journal):\n"
        "    try:\n        each('redis://:sesame@host/')\n"
        "    except ConfigError as error: print(error.cause)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    lines = told.stdout.splitlines()
    assert len(lines) == 2
    assert all(each.startswith("the store redis://host/ needs a package that is not installed") for each in lines)
    assert all(each.endswith("pip install 'clipper-serving[redis]'") for each in lines)


def test_the_package_is_imported_for_such_an_address_only(tmp_path):
    program = (
        "import sys; from clipper.store.opening import open_journal, open_store\n"
        f"open_store({str(tmp_path / 's')!r}); open_journal({str(tmp_path / 's')!r})\n"
        "assert 'redis' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
