import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper.config import load_config
from clipper_admin.managers.folders import Cluster
from clipper_admin.managers.images import Image
from clipper_admin.managers.programs import (
    ReplicaId,
    parse_replica,
    query_frontend_command,
    replica_program,
    server_programs,
)

CLUSTER = Cluster("127.0.0.1", 11, 12, 7000, 3, "/s", cache_size=99, request_timeout=1.5, content_timeout=20.0)
LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?", fullmatch=True)


@given(LABEL, LABEL, st.integers(0, 10**6))
def test_replicas_and_programs_name_each_other(model, version, number):
    replica = ReplicaId(model, version, number)
    assert parse_replica(replica.program) == replica


def test_the_servers_are_no_replicas(folder):
    programs = server_programs(folder, CLUSTER)
    assert [each.name for each in programs] == [
        "management-frontend",
        "query-frontend-0",
        "query-frontend-1",
        "query-frontend-2",
    ]
    assert not any(parse_replica(each.name) for each in programs)
    assert all(each.environment == {"CLIPPER_DIE_WITH_PARENT": "1"} for each in programs)


def test_a_query_frontend_reads_its_command(folder):
    command = query_frontend_command(folder, CLUSTER, 1)
    assert command[:3] == (sys.executable, "-m", "clipper.frontend.server")
    config = load_config(command[3:], {"CLIPPER_QUERY_PORT": "5"})
    assert config.store == str(folder.store)
    assert (config.host, config.query_port, config.rpc_port) == ("127.0.0.1", 11, 7001)
    assert (config.frontend, config.rpc_socket) == ("frontend-1", "/s/rpc-1.sock")
    assert config.metrics_sockets == "/s/metrics-1.sock,/s/metrics-0.sock,/s/metrics-2.sock"
    assert (config.cache_bytes, config.request_timeout, config.content_timeout) == (99, 1.5, 20.0)


def test_the_management_frontend_reads_its_command(folder):
    command = server_programs(folder, CLUSTER)[0].command
    assert command[:3] == (sys.executable, "-m", "clipper.management.frontend")
    config = load_config(command[3:], {})
    assert (config.store, config.host, config.management_port) == (str(folder.store), "127.0.0.1", 12)


def replica_environment(folder, environ, packages=()):
    image = Image("t", "/py", packages, input_type="doubles")
    program = replica_program(folder, CLUSTER, ReplicaId("m", "1", 4), image, environ)
    assert program.name == "m_1-4"
    assert program.command == ("nice", "-n", "5", "/py", str(folder.runtime))
    assert program.directory == "models/m/1/model"
    return program.environment


def test_a_replica_is_told_who_it_is(folder):
    environment = replica_environment(folder, {})
    assert environment == {
        "CLIPPER_MODEL_NAME": "m",
        "CLIPPER_MODEL_VERSION": "1",
        "CLIPPER_INPUT_TYPE": "doubles",
        "CLIPPER_MODEL_PATH": str(folder.models / "m" / "1" / "model"),
        "CLIPPER_ADDRESS": "unix:/s/rpc-0.sock,unix:/s/rpc-1.sock,unix:/s/rpc-2.sock",
        "CLIPPER_TCP_ADDRESS": "tcp:127.0.0.1:7000,tcp:127.0.0.1:7001,tcp:127.0.0.1:7002",
        "CLIPPER_REPLICA_ID": "4",
        "CLIPPER_METRICS_ADDRESS": "127.0.0.1:0",
        "CLIPPER_LOG_LEVEL": "info",
        "CLIPPER_LOG_FORMAT": "text",
        "CLIPPER_DIE_WITH_PARENT": "1",
        "PYTHONUNBUFFERED": "1",
    }


def test_a_replica_keeps_what_describes_the_machine_and_no_secrets(folder):
    environ = {"PATH": "/b", "LC_ALL": "C", "OMP_NUM_THREADS": "3", "PYTHONPATH": "/p", "API_TOKEN": "x", "TZ": "\n"}
    environment = replica_environment(folder, environ)
    assert (environment["PATH"], environment["LC_ALL"], environment["OMP_NUM_THREADS"]) == ("/b", "C", "3")
    assert environment["PYTHONPATH"] == "/p"
    assert not {"API_TOKEN", "TZ"} & set(environment)


@pytest.mark.parametrize("name", ["JAVA_HOME", "R_LIBS_USER", "SPARK_HOME", "KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL"])
def test_a_replica_keeps_what_tells_a_framework_where_it_is(folder, name):
    assert replica_environment(folder, {name: "/there"})[name] == "/there"


def test_an_isolated_replica_does_not_see_the_callers_packages(folder):
    assert replica_environment(folder, {"PYTHONPATH": "/p"}, ("x",))["PYTHONPATH"] == ""
