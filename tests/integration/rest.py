"""HTTP as applications speak it: to a frontend directly, with nothing of clipper_admin in between."""

import http.client
import json
from http.client import HTTPMessage
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT = 30


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)


def send(address, method, path, body=None, headers=None):
    """One request over a connection of its own; ``body`` is bytes, or else sent as JSON."""
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    try:
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, raw, {"Content-Type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def post(address, path, body):
    return send(address, "POST", path, body)


def ask(address, app, value, **more):
    """The answer to one query, which must be a 200."""
    answer = post(address, f"/{app}/predict", {"input": value} | more)
    assert answer.status == 200, answer
    return answer.json()


def ask_batch(address, app, values, **more):
    answer = post(address, f"/{app}/predict", {"input_batch": values} | more)
    assert answer.status == 200, answer
    return answer.json()["batch_predictions"]


def outputs(answers):
    """The outputs of answers of which none is the default."""
    assert [each for each in answers if each["default"]] == []
    return [each["output"] for each in answers]


def metrics(address):
    """Every sample of /metrics: a function from a name and labels to its value, 0 for what is not there."""
    text = send(address, "GET", "/metrics").body.decode()
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return lambda name, **labels: samples.get((name, *sorted(labels.items())), 0)


def refusal(answer, status):
    """The cause of an error, which must have this status and exactly the two fields of every error."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/json"
    error = answer.json()
    assert error.keys() == {"error", "cause"}
    assert error["error"]
    return error["cause"]
