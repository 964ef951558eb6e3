"""A Redis that speaks TLS, with a certificate of our own: who is trusted, what is told, and no password anywhere."""

import logging
import os
import re
import subprocess
import sys
import traceback
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from clipper.errors import ConfigError, StoreError
from clipper.store.opening import open_journal, open_store
from clipper.store.redis import RedisStore
from clipper.store.redis_address import parse_address
from clipper.types import Registry
from tests.clipper.management.conftest import SECONDS, started
from tests.clipper.store.redis_process import DURABLE, RedisProcess, free_port
from tests.clipper.store.test_journal import feedback
from tests.clipper.store.test_redis import filled, forget_pause
from tests.clipper_admin.managers.polling import eventually

PASSWORD = "s3same/+@ü"
QUOTED = "s3same%2F%2B%40%C3%BC"


def openssl(folder, *arguments):
    try:
        done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("openssl is not installed here: apt-get install openssl")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """``ca.pem`` has signed ``server.pem``, which is for localhost and 127.0.0.1; ``other.pem`` is nobody's."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "other"):
        new = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key")
        openssl(folder, "req", "-x509", *new, "-out", f"{name}.pem")
    openssl(
        folder,
        *["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-keyout", "server.key", "-out", "csr"],
    )
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    signed_by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl(folder, "x509", "-req", "-in", "csr", *signed_by, "-out", "server.pem")
    (folder / "rubbish.pem").write_text("rubbish")
    return folder


@pytest.fixture(scope="module")
def server(certificates, tmp_path_factory):
    """It has a plain port and one for TLS, and a user beside the default one."""
    tls = free_port()
    files = ("--tls-cert-file", "server.pem", "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.pem")
    options = [str(certificates / each) if "." in each else each for each in files]
    options += ["--tls-port", str(tls), "--tls-auth-clients", "no", "--bind", "127.0.0.1", "127.0.0.2"]
    options += ["--user", "clipper", "on", f">{PASSWORD}", "~clipper:*", "+@all"]
    process = RedisProcess(tmp_path_factory.mktemp("redis-tls"), *DURABLE, *options, password=PASSWORD)

    def address(ca="ca.pem", user="", password=QUOTED, host="127.0.0.1", port=tls):
        ending = f"&ca={certificates / ca}" if ca else ""
        return f"rediss://{user}:{password}@{host}:{port}/0?cluster=tls{ending}"

    yield SimpleNamespace(process=process, address=address, tls=tls, plain=process.port)
    process.kill()


@pytest.mark.parametrize("who", [{}, {"user": "clipper"}, {"host": "localhost"}], ids=str)
def test_store_and_journal_over_tls(server, opened, who):
    store, journal = open_store(server.address(**who)), open_journal(server.address(**who))
    opened += store, journal
    store.commit(store.read(), filled(store.read().revision))
    assert store.read().applications == filled().applications
    journal.append([feedback(1), feedback(2, user="ann")])
    assert len(journal.read(0, 10)) == 2
    for _ in range(20):
        store.changed(), journal.changed()
    assert [each._server.connections for each in (store, journal)] == [1, 1]


def test_a_connection_that_was_lost_is_made_anew(server, opened):
    store = open_store(server.address())
    opened.append(store)
    server.process.kill()
    with pytest.raises(StoreError, match="can't be reached"):
        store.changed()
    server.process.start()
    forget_pause(store)
    assert store.changed()
    assert isinstance(store.read(), Registry)


@pytest.mark.parametrize(
    ("who", "complaint"),
    [
        ({"password": "s3same-wrong"}, "refuses the user or the password: correct them in the address"),
        ({"user": "nobody"}, "refuses the user or the password: correct them in the address"),
        ({"ca": "other.pem"}, "CERTIFICATE_VERIFY_FAILED.*: name the file of the authority that signed .* ca=FILE"),
        ({"ca": ""}, "CERTIFICATE_VERIFY_FAILED.*: name the file of the authority that signed .* ca=FILE"),
        (
            {"host": "127.0.0.2"},
            "certificate is not valid for '127.0.0.2'.*: write the host as its certificate names",
        ),
        ({"ca": "nowhere.pem"}, r"the file '\S+/nowhere.pem' of the store \S+ can't be used \(No such file"),
        (
            {"ca": "rubbish.pem"},
            r"the file '\S+/rubbish.pem' .* can't be used \(it holds no certificates\): name one",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_and_no_password(server, caplog, who, complaint):
    with caplog.at_level(logging.DEBUG), pytest.raises((StoreError, ConfigError), match=complaint) as caught:
        open_store(server.address(**who))
    assert f"rediss://{who.get('host', '127.0.0.1')}:{server.tls}/0?cluster=tls" in caught.value.cause
    assert "s3same" not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_a_server_without_tls_is_told(server):
    with pytest.raises(StoreError, match=r"did not answer within 0.2 s: see whether its port is that for TLS"):
        RedisStore(parse_address(server.address(port=server.plain)), timeout=0.2)


def test_a_server_with_tls_is_told(server):
    plain = server.address(ca="").replace("rediss:", "redis:")
    with pytest.raises(StoreError, match="see what is there: the address begins with rediss:// if it speaks TLS"):
        open_store(plain)


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("redis://:s3same@host/0?ca=/ca.pem", "has settings of TLS: begin it with rediss://"),
        ("unix:///s?ssl_certfile=/mine", "has settings of TLS: begin it with rediss://"),
        ("rediss://:s3same@host/0?ca=", "the file '' .* can't be used"),
        ("rediss://:s3same@host/0?cafile=/ca.pem", "has the setting 'cafile': known are cluster, db, ca and"),
        ("rediss://:s3same@host/0?ssl_cert_reqs=perhaps", "is not an address"),
    ],
)
def test_addresses_that_can_not_be(address, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        open_store(address)
    assert "s3same" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.heavy
def test_the_servers_never_tell_the_password(server, tmp_path):
    """Started well, and their Redis killed under them; or refused."""
    port = free_port()
    commands = {
        "management": ["-m", "clipper.management.frontend", "--management-port=0"],
        "query": ["-m", "clipper.frontend.server", f"--query-port={port}", "--rpc-port=0"],
    }
    with started("--management-port=0", CLIPPER_STORE=server.address(password="s3same-wrong")) as process:
        _, told = process.communicate(timeout=SECONDS)
    assert "refuses the user or the password" in told
    assert "s3same" not in told
    for name, command in commands.items():
        log = tmp_path / name
        environment = {"CLIPPER_STORE": server.address()}
        with log.open("wb") as output, serving(command, environment, output):
            wait_for(log, "listening on|serves on")
            server.process.kill()
            if name == "query":  # it looks by itself, for either, in any order
                wait_for(log, "the store is out of reach, ")
                wait_for(log, "the journal of feedback: ")
            server.process.start()
        assert "s3same" not in log.read_text()


def serving(command, environment, output):
    return ended(
        subprocess.Popen([sys.executable, *command], env=os.environ | environment, stdout=output, stderr=output)
    )


@contextmanager
def ended(process):
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(SECONDS)


def wait_for(log, pattern):
    eventually(lambda: re.search(pattern, log.read_text()), timeout=SECONDS)
