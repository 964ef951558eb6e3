"""The environment of a container."""

import socket
from pathlib import Path

import pytest

from clipper.container.addresses import Address, Endpoint, parse_address, resolve
from clipper.container.settings import Settings, SettingsError, read_settings
from clipper.rpc.wire import InputType

NEEDED = {"CLIPPER_MODEL_NAME": "sum", "CLIPPER_MODEL_VERSION": "1", "CLIPPER_MODEL_PATH": "/model"}


def test_defaults_are_those_of_the_original():
    assert read_settings(NEEDED) == Settings(
        "sum", "1", Path("/model"), InputType.DOUBLES, None, (Address("127.0.0.1", 7000),)
    )


@pytest.mark.parametrize("name", NEEDED)
def test_missing_variable_is_named(name):
    for environ in ({**NEEDED, name: ""}, {key: value for key, value in NEEDED.items() if key != name}):
        with pytest.raises(SettingsError, match=f"^{name} environment variable must be set$"):
            read_settings(environ)


@pytest.mark.parametrize(("text", "kind"), [(" Ints ", InputType.INTEGERS), ("b", InputType.BYTES)])
def test_input_type_is_forgiving(text, kind):
    assert read_settings(NEEDED | {"CLIPPER_INPUT_TYPE": text}).input_type is kind


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("CLIPPER_INPUT_TYPE", "images", "CLIPPER_INPUT_TYPE: images is not a valid input string"),
        ("CLIPPER_REPLICA_ID", "one", "CLIPPER_REPLICA_ID='one' is not a whole number"),
        (
            "CLIPPER_ADDRESS",
            "localhost:7000",
            "'localhost:7000' is not an address: write unix:/path or tcp:host:port",
        ),
        ("CLIPPER_PORT", "http", "'tcp:127.0.0.1:http' is not an address"),
    ],
)
def test_wrong_value_is_named(variable, value, complaint):
    with pytest.raises(SettingsError, match=complaint):
        read_settings(NEEDED | {variable: value})


def test_addresses_are_separated_by_commas_and_count_once():
    settings = read_settings(NEEDED | {"CLIPPER_ADDRESS": "unix:/a:b, tcp:h:1,tcp:[::1]:2,unix:/a:b,"})

    assert settings.addresses == (Address("/a:b"), Address("h", 1), Address("::1", 2))


def test_ip_and_port_make_an_address():
    settings = read_settings(NEEDED | {"CLIPPER_IP": "10.0.0.1", "CLIPPER_PORT": "7001", "CLIPPER_REPLICA_ID": "3"})

    assert settings.addresses == (Address("10.0.0.1", 7001),)
    assert settings.replica_id == 3


@pytest.mark.parametrize("text", ["", "unix:", "tcp:h", "tcp::1", "tcp:h:0", "tcp:h:65536", "tcp:h:²", "udp:h:1"])
def test_what_is_no_address_is_a_value_error(text):
    with pytest.raises(ValueError, match="is not an address"):
        parse_address(text)


@pytest.mark.parametrize("text", ["unix:/a", "tcp:127.0.0.1:1", "tcp:::1:1"])
def test_literal_addresses_are_not_names(text):
    assert not parse_address(text).is_name
    assert str(parse_address(text)) == text


def test_name_means_each_of_its_addresses_of_one_family(monkeypatch):
    answers = [("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.1", 1)]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in answers]
    found.append((socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 1, 0, 0)))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    assert parse_address("tcp:frontends:1").is_name
    assert resolve(Address("frontends", 1)) == [Endpoint(socket.AF_INET, each) for each in answers[:2]]
    found[:] = found[-1:]
    assert resolve(Address("frontends", 1)) == [Endpoint(socket.AF_INET6, ("::1", 1, 0, 0))]
