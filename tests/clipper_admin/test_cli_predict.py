"""``clipper predict``: what INPUT means to applications of each input type."""

import json

import pytest


@pytest.mark.parametrize(
    ("input_type", "typed", "sent"),
    [
        ("doubles", "[1.1, 2]", [1.1, 2]),
        ("strings", "a fine film", "a fine film"),
        ("strings", '"quoted"', "quoted"),
        ("strings", "[1]", "[1]"),
    ],
)
def test_predict(clipper, connection, server, input_type, typed, sent):
    connection.register_application("a", input_type, "0", 1000)
    result = clipper("predict", "a", typed, "--user", "ann", "--version", "2")
    assert server.registry.requests[-1] == ("/a/predict", {"input": sent, "user_id": "ann", "version": "2"})
    assert json.loads(result.stdout) == sent


def test_bytes_are_typed_in_base64_and_sent_as_they_are(clipper, connection, server):
    connection.register_application("a", "bytes", "0", 1000)
    assert json.loads(clipper("predict", "a", "AP8=", "--user", "ann", "--version", "2").stdout) == "AP8="
    body = {"type": "application/octet-stream; type=bytes", "data": b"\x00\xff"}
    assert server.registry.requests[-1] == ("/a/predict?user_id=ann&version=2", body)


def test_predict_reads_standard_input(answered, clipper, connection, server):
    connection.register_application("a", "doubles", "0", 1000)
    connection.register_application("pictures", "bytes", "0", 1000)
    assert answered("predict", "a", "-", input="[1.5]")["output"] == [1.5]
    assert answered("predict", "pictures", "-", input=b"\x00\xff")["output"] == "AP8="
    assert [each["output"] for each in answered("predict", "a", "--batch", "[[1], [2, 3]]")] == [[1], [2, 3]]
    assert clipper("predict", "a", "--batch", "[[1], [2, 3]]").stdout == "[1]\n[2, 3]\n"


def test_a_default_output_says_why_on_standard_error(clipper, connection, server):
    connection.register_application("a", "doubles", "0", 1000)
    why = {
        "query_id": 0,
        "output": -1.0,
        "default": True,
        "default_explanation": "No connected models found for query",
    }
    server.registry.failures["/a/predict"] = (200, why)
    result = clipper("predict", "a", "[1]")
    assert result.stdout == "-1.0\n"
    assert result.stderr.splitlines()[-1] == "Default output: No connected models found for query"


@pytest.mark.parametrize(
    ("input_type", "typed", "error"),
    [
        ("doubles", "[1.", "INPUT is not JSON"),
        ("bytes", "a?b", "INPUT is not base64"),
        ("strings --batch", "a", "INPUT is not JSON"),
    ],
)
def test_inputs_that_can_not_be_sent(clipper, connection, input_type, typed, error):
    kind, *flags = input_type.split()
    connection.register_application("a", kind, "0", 1000)
    assert error in clipper("predict", "a", typed, *flags, exit_code=1).stderr


def test_predicting_with_an_unknown_application_lists_the_known(clipper, connection):
    connection.register_application("known", "doubles", "0", 1000)
    stderr = clipper("predict", "b", "[1]", exit_code=1).stderr
    assert stderr == "Error: There is no application 'b': `clipper register` makes one. Registered: known\n"
