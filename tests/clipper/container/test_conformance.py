"""The conformance runner on the Python container, and on some that are broken."""

import sys

import pytest

from clipper.container import conformance


def model(more=0):
    """What the runner's ``--help`` asks for, or with ``more`` a wrong sum. Made here, to be pickled by value."""

    def answer(inputs):
        answers = []
        for each in inputs:
            if (each == "fail") if isinstance(each, str) else (len(each) and each[0] == 99):
                raise ValueError("asked to fail")
            answers.append(each if isinstance(each, str) else [len(each), each.sum() + more])
        return answers

    return answer


@pytest.fixture
def run(runtime, save, monkeypatch, capsys):
    """``run(function, *options)``: the exit code, and the lines that are printed. REFUSED, 5 s, is left out."""
    checks = [each for each in conformance.LIFE_CHECKS if each[0] != "REFUSED"]
    assert len(checks) == len(conformance.LIFE_CHECKS) - 1
    monkeypatch.setattr(conformance, "LIFE_CHECKS", checks)

    def run_conformance(function, *options, command=(sys.executable, str(runtime))):
        monkeypatch.setenv("CLIPPER_MODEL_PATH", str(save(function)))
        code = conformance.main([*options, "--", *command])
        return code, capsys.readouterr().out.splitlines()

    return run_conformance


@pytest.mark.heavy
def test_the_python_container_conforms(run):
    code, lines = run(model(), "--input-type", "strings", "--input-type", "integers")

    assert [line for line in lines if not line.startswith("ok ")] == [f"all {len(lines) - 1} checks are ok"]
    assert code == 0
    assert "ok strings: SIGTERM" in lines
    assert "ok integers: 784 and 150,528 elements" in lines


def test_a_container_that_uses_tcp_alone_conforms(run):
    code, lines = run(model(), "--input-type", "d", "--tcp", "--only", "frontends")

    assert code == 0
    assert lines == [
        "ok doubles: two frontends at once",
        "ok doubles: one of two frontends lost",
        "all 2 checks are ok",
    ]


def test_a_wrong_answer_is_shown_beside_the_right_one(run):
    code, lines = run(model(more=1), "--input-type", "doubles", "--only", "one query")

    assert code == 1
    # The elements are -2, -1.5 and -1.
    assert lines[0] == "FAILED doubles: one query: expected [3, -4.5] for query 0 of 1; came '[3,-3.5]'"
    assert "Serving predictions for doubles input type." in "\n".join(lines[1:-1])
    assert lines[-1] == "1 of 1 checks FAILED"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("raise SystemExit(7)", "came the end of the command, with exit code 7"),
        ("import time; time.sleep(60)", "came no connection within 0.5 s"),
    ],
)
def test_a_command_that_does_not_connect_is_told_from_one_that_ends(run, script, says):
    code, lines = run(
        model(),
        "--only",
        "says HELLO",
        "--patience",
        "0.5",
        "--input-type",
        "s",
        command=[sys.executable, "-c", script],
    )

    assert code == 1
    assert lines[0].startswith("FAILED strings: connects and says HELLO: expected the container to connect to unix:")
    assert lines[0].endswith(says)


def test_a_command_that_is_not_there_fails(run):
    code, lines = run(model(), "--only", "one query", "--input-type", "s", command=["/nowhere/container"])

    assert code == 1
    assert "No such file or directory: '/nowhere/container'" in lines[0]


BROKEN = """
import json, os, socket, struct

def message(kind, payload=b"", batch_id=0, items=0):
    payload += bytes(-len(payload) % 8)
    return struct.pack("<IB3xIIII", len(payload), kind, batch_id, items, 0, 0) + payload

stream = socket.socket(socket.AF_UNIX)
stream.connect(os.environ["CLIPPER_ADDRESS"].removeprefix("unix:"))
hello = {{"protocol": 1, "model_name": "conformance", "model_version": "v1", "input_type": "doubles"}} | {hello}
stream.sendall(message(1, json.dumps(hello).encode()))
stream.recv(24)
stream.recv(1000)
stream.sendall({answer})
stream.recv(1)
"""


@pytest.mark.parametrize(
    ("hello", "answer", "says"),
    [
        ({"protocol": 2}, "b''", "came the container speaks protocol 2, this frontend 1"),
        ({"model_name": "other"}, "b''", "expected HELLO of ('conformance', 'v1', 'doubles'), replica 3 or null"),
        ({}, "message(3)", "expected OUTCOMES for batch 1 (1 items); came REFUSED"),
        ({}, "message(99)", "came a message of the unknown kind 99"),
        ({}, "message(5, bytes(8), 2, 1)", "expected OUTCOMES for batch 1 (1 items); came 1 items for batch 2"),
        ({}, "message(5, bytes(8), 1, 2)", "came 2 items for batch 1"),
        ({}, "message(5, bytes(8), 1, 1)", "came '', which is not JSON"),
        ({}, "message(5, bytes([3, 0, 0, 0, 0, 0, 0, 0]) + b'NaN', 1, 1)", "came 'NaN', which is not JSON"),
        ({}, "message(5, bytes([2, 0, 0, 128, 0, 0, 0, 0]) + b'no', 1, 1)", "came the error 'no'"),
        ({}, "message(5, b'', 1, 9)", "came OUTCOMES that can't be read"),
        ({}, "b'1234567' + message(5)", "came bytes that break the protocol"),
        ({}, "b''", "expected OUTCOMES for batch 1 (1 items); came nothing within 0.5 s"),
    ],
)
def test_what_breaks_the_protocol_is_told(run, hello, answer, says):
    script = BROKEN.format(hello=hello, answer=answer)
    command = [sys.executable, "-c", script]
    code, lines = run(model(), "--only", "one query", "--patience", "0.5", "--input-type", "d", command=command)

    assert code == 1
    assert says in lines[0]


def test_the_help_says_what_the_model_must_answer(capsys):
    with pytest.raises(SystemExit):
        conformance.main(["--help"])
    assert "[number of elements, their sum]" in capsys.readouterr().out


def test_a_missing_command_and_an_unknown_type_are_refused(capsys):
    with pytest.raises(SystemExit):
        conformance.main([])
    with pytest.raises(SystemExit):
        conformance.main(["--input-type", "complex", "--", "true"])
    assert "COMMAND is missing" in capsys.readouterr().err
