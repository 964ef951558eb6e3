"""The container in R keeps to the wire, writes JSON, and says what is wrong with its settings."""

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from clipper.container import conformance
from clipper.rpc import wire
from tests.frameworks.beside import serving_beside
from tests.frameworks.conftest import outputs

FOLDER = Path(__file__).parents[2] / "containers" / "r"
COMMAND = str(FOLDER / "container.sh")
PATIENCE = 60

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.skipif(not shutil.which("Rscript"), reason="R is not here: apt-get install r-base-core"),
]


def run_r(*arguments):
    return subprocess.run(
        ["Rscript", "--vanilla", *map(str, arguments)],
        env=os.environ | {"LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    ).stdout.decode()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("r")
    run_r(FOLDER / "example.R", folder)
    return folder


@pytest.fixture
def environment(model):
    settings = {"CLIPPER_MODEL_NAME": "sums", "CLIPPER_MODEL_VERSION": "1", "CLIPPER_MODEL_PATH": str(model)}
    return os.environ | settings


def test_it_conforms(model, monkeypatch, capsys):
    monkeypatch.setenv("CLIPPER_MODEL_PATH", str(model))

    code = conformance.main(["--tcp", "--", COMMAND])

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == [f"all {len(lines) - 1} checks are ok"]
    assert code == 0


def test_sigterm_ends_it_when_no_frontend_is_there(environment):
    with socket.socket() as nobody:  # bound, and not listening: connections are refused
        nobody.bind(("127.0.0.1", 0))
        address = f"tcp:127.0.0.1:{nobody.getsockname()[1]}"
        process = subprocess.Popen(
            [COMMAND], env=environment | {"CLIPPER_ADDRESS": address}, stderr=subprocess.PIPE, text=True
        )
        with process:
            line = next(line for line in process.stderr if "Can't reach" in line)
            assert address in line
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0


def test_it_stops_when_the_shell_before_it_is_killed(environment):
    """R holds the log open until it ends."""
    process = subprocess.Popen([COMMAND], env=environment, stderr=subprocess.PIPE, text=True)
    with process:
        next(line for line in process.stderr if "Serving predictions" in line)
        process.kill()
        process.wait()  # until then the system has a file for it
        assert process.stderr.read().endswith("Stopped\n")


def test_a_query_frontend_gets_its_answers(clipper, environment):
    with serving_beside(clipper, "r-sums", [COMMAND], environment):
        assert outputs(clipper, "r-sums", [[1.5, 2.0], [99.5]]) == [[2, 3.5], [1, 99.5]]
        assert clipper.predict("r-sums", [99.0])["default"]


def named(path, *hosts):
    """What a program like ``getent`` prints for every name: these hosts."""
    fresh = path.with_suffix(".new")
    fresh.write_text("#!/bin/sh\n" + "".join(f"echo '{host} STREAM x'; echo '{host} DGRAM'\n" for host in hosts))
    fresh.chmod(0o755)
    fresh.replace(path)


def welcome(listening):
    """A frontend that takes the next container."""
    connection, _ = listening.accept()
    connection.settimeout(PATIENCE)
    connection.recv(4096)
    connection.sendall(wire.encode_welcome())
    return connection


def test_a_name_means_every_frontend_that_it_has_and_those_that_come(environment, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
        others = [socket.create_server((host, port)) for host in ("127.0.0.2", "127.0.0.3")]
        named(tmp_path / "getent", "127.0.0.1", "127.0.0.2")
        settings = {"CLIPPER_ADDRESS": f"tcp:frontends:{port}", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        process = subprocess.Popen([COMMAND], env=environment | settings, stderr=subprocess.DEVNULL)
        try:
            for each in (one, *others):
                each.settimeout(PATIENCE)
            connections = [welcome(one), welcome(others[0])]
            named(tmp_path / "getent", "127.0.0.1", "127.0.0.3")
            connections.append(welcome(others[1]))
        finally:
            process.terminate()
            for each in connections:
                each.close()
            for each in others:
                each.close()
            process.wait(PATIENCE)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("CLIPPER_MODEL_NAME", "", "CLIPPER_MODEL_NAME environment variable must be set"),
        ("CLIPPER_MODEL_PATH", "/nowhere", "cannot open the connection"),
        ("CLIPPER_INPUT_TYPE", "complex", "CLIPPER_INPUT_TYPE: complex is none of bytes, integers"),
        ("CLIPPER_ADDRESS", "7000", "CLIPPER_ADDRESS: '7000' is not an address"),
        ("CLIPPER_ADDRESS", "unix:/tmp/socket", "CLIPPER_ADDRESS must have a tcp:host:port"),
    ],
)
def test_what_is_wrong_is_told(environment, variable, value, says):
    done = subprocess.run(
        [COMMAND], env=environment | {variable: value}, stderr=subprocess.PIPE, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert says in done.stderr


def test_what_it_is_given_begins_no_line_of_its_log(environment):
    forged = "2026-11-28 15:00:00,000 ERROR   container: forged"
    settings = environment | {"CLIPPER_MODEL_NAME": f"sums\n{forged}\r\n\udcff", "CLIPPER_MODEL_PATH": "/nowhere"}
    done = subprocess.run([COMMAND], env=settings, stderr=subprocess.PIPE, timeout=PATIENCE)
    assert f": Loading sums\n    {forged}\n    ?:1 from " in done.stderr.decode()


OUTPUTS = {
    "1": 1,
    "0.1 + 0.2": 0.1 + 0.2,
    "1e300": 1e300,
    "2^53": 2**53,
    "TRUE": True,
    "3L": 3,
    "c(1, 2.5)": [1, 2.5],
    "c(a = 1, b = 2)": [1, 2],
    "I(3)": [3],
    "I('x')": ["x"],
    "numeric(0)": [],
    "list()": [],
    "list(1, 'x', list(TRUE, NULL))": [1, "x", [True, None]],
    "list(label = 'cat', scores = c(0.1, 0.9))": {"label": "cat", "scores": [0.1, 0.9]},
    "c('6.6', 'x')": ["6.6", "x"],
    "factor('cat')": "cat",
    "'6.6'": 6.6,
    "'1e999'": "1e999",
    "strrep('[', 200)": "[" * 200,
    "paste0(strrep('[', 100), strrep(']', 100))": json.loads("[" * 100 + "]" * 100),
    "paste0(strrep('[', 101), strrep(']', 101))": "[" * 101 + "]" * 101,
    "'grüße'": "grüße",
}
FAILING = ["NULL", "NA", "NaN", "Inf", "c(1, NA)", "list(1, NaN)", "sum", "NA_character_", "1i"]


def test_outputs_are_json(tmp_path):
    script = tmp_path / "outputs.R"
    tries = [f'cat(tryCatch(json_output({each}), error = function(error) "failed"), "\\n")' for each in OUTPUTS]
    tries += [f'cat(tryCatch(json_output({each}), error = function(error) "failed"), "\\n")' for each in FAILING]
    script.write_text("\n".join([f"source('{FOLDER / 'outputs.R'}')", *tries]))

    lines = run_r(script).splitlines()

    written = dict(zip(OUTPUTS, lines, strict=False))
    assert {each: json.loads(line) for each, line in written.items()} == OUTPUTS
    assert [line.strip() for line in lines[len(OUTPUTS) :]] == ["failed"] * len(FAILING)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ("c(1, 2)", ["1", "2"]),
        ("matrix(1:4, 2)", ["[1,3]", "[2,4]"]),
        ("matrix(1:2, 2)", ["[1]", "[2]"]),
        ("factor(c('a', 'b'))", ['"a"', '"b"']),
        ("list(1, 2, 3)", ["Expected model to return 2 outputs, found 3 outputs"]),
        ("sum", ["Model did not return a list: it returned function for a batch of 2"]),
        ("data.frame(a = 1:2)", ["Model did not return a list: it returned a data.frame"]),
    ],
)
def test_a_batch_has_an_output_for_each_query(outputs, expected):
    script = f"""source('{FOLDER / "outputs.R"}')
cat(tryCatch(unlist(encode_outputs({outputs}, 2)), error = conditionMessage), sep = "\\n")"""
    assert run_r("-e", script).splitlines() == expected
