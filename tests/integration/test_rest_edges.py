"""The query port as a whole: HTTP as clients and proxies use it, its limits, health and metrics."""

import json
import socket

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from clipper_admin.deployers.python import create_endpoint
from tests.integration.conftest import await_link
from tests.integration.models import adding
from tests.integration.rest import ask, ask_batch, metrics, outputs, refusal, send

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def app(clipper):
    create_endpoint(clipper, "app", "doubles", adding(), default_output="DEFAULT", slo_micros=10**7)
    await_link(clipper, "app", "1")
    return "app"


@pytest.fixture
def wire(app, query_addr):
    """Sends raw bytes over one connection, in the given pieces; everything that comes back until it is closed."""

    def wire(*pieces):
        host, _, port = query_addr.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            for piece in (*pieces, LAST):
                connection.sendall(piece)
            received = b""
            while data := connection.recv(65536):
                received += data
        return received

    return wire


LAST = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def request(body, *headers):
    head = [b"POST /app/predict HTTP/1.1", b"Host: localhost", *headers]
    return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body])


def bodies(received):
    """The bodies of pipelined 200s, but for the last one, which closed the connection."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *headers = head.split(b"\r\n")
        assert status == b"HTTP/1.1 200 OK"
        fields = dict(header.lower().split(b": ", 1) for header in headers)
        length = int(fields[b"content-length"])
        found.append(json.loads(rest[:length]))
        received = rest[length:]
    return found[:-1]


def test_pipelined_queries_are_answered_in_their_order(wire):
    pipelined = b"".join(request(b'{"input": [%d, 0.5]}' % number) for number in range(200))
    assert outputs(bodies(wire(pipelined))) == [number + 0.5 for number in range(200)]


def test_a_query_in_pieces_is_one(wire):
    query = request(b'{"input": [1.5, 2.0]}')
    assert outputs(bodies(wire(*(query[at : at + 1] for at in range(len(query)))))) == [3.5]


def test_a_chunked_body(wire):
    head = b"POST /app/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b'9\r\n{"input":\r\n6\r\n [1.5,\r\n5\r\n 2.0]\r\n1\r\n}\r\n0\r\n\r\n'
    assert outputs(bodies(wire(head + chunks))) == [3.5]


def test_a_client_that_asks_before_it_sends(wire):
    received = wire(request(b'{"input": [1.5, 2.0]}', b"Expect: 100-continue"))
    assert outputs(bodies(received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"))) == [3.5]


def test_a_trailing_slash_and_an_escaped_path(app, query_addr):
    for path in ("/app/predict", "/app/predict/", "/%61pp/predict", "/app/predict?"):
        answer = send(query_addr, "POST", path, {"input": [1.5, 2.0]})
        assert outputs([answer.json()]) == [3.5]


def test_a_query_string_has_no_place_beside_json(app, query_addr):
    cause = refusal(send(query_addr, "POST", "/app/predict?version=1", {"input": [1.5, 2.0]}), 400)
    assert "version and user_id go into the JSON" in cause


def test_the_content_type_does_not_matter(app, query_addr):
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = send(query_addr, "POST", "/app/predict", {"input": [2.0]}, {"Content-Type": content_type})
        assert answer.headers["Content-Type"] == "application/json"
        assert outputs([answer.json()]) == [2]


def test_an_oversize_body_is_refused_and_the_largest_is_taken(app, query_addr):
    limit = 32 << 20
    too_large = refusal(send(query_addr, "POST", "/app/predict", b" " * (limit + 1)), 413)
    assert f"over the limit of {limit} bytes" in too_large
    count = limit // 8 - 4
    body = b'{"input": [' + b"0.12500," * count + b"0.5]}"
    largest = send(query_addr, "POST", "/app/predict", body + b" " * (limit - len(body)))
    assert outputs([largest.json()]) == [count / 8 + 0.5]


def test_a_large_batch_is_answered_exactly(app, query_addr):
    batch = [[float(each), *([0.25] * 40)] for each in range(10_000)]
    assert outputs(ask_batch(query_addr, app, batch)) == [sum(each) for each in batch]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_predict_takes_post_alone(app, query_addr, method):
    answer = send(query_addr, method, "/app/predict")
    assert answer.headers["Allow"] == "POST"
    assert f"takes POST, not {method}" in refusal(answer, 405)


@pytest.mark.parametrize("path", ["/metrics", "/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"])
def test_pages_take_get_and_head(app, query_addr, path):
    got, head, posted = (send(query_addr, method, path) for method in ("GET", "HEAD", "POST"))
    assert (got.status, head.status, head.body) == (200, 200, b"")
    assert got.body
    if path != "/metrics":
        assert head.headers["Content-Length"] == str(len(got.body))
    assert posted.headers["Allow"] == "GET, HEAD"
    assert f"{path} takes GET, not POST" in refusal(posted, 405)


def test_health_tells_that_it_is_live_and_ready(app, query_addr):
    assert send(query_addr, "GET", "/health/live").json() == {"live": True}
    assert send(query_addr, "GET", "/health/ready").json() == {
        "ready": True,
        "store": "reachable",
        "journal": "reachable",
    }


def test_prometheus_reads_the_metrics(app, query_addr):
    ask(query_addr, app, [1.0])
    answer = send(query_addr, "GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    families = {each.name: each for each in text_string_to_metric_families(answer.body.decode())}
    assert {"clipper_requests", "clipper_request_duration_seconds", "clipper_batch_size"} <= families.keys()
    assert all(name.startswith("clipper_") for name in families)
    assert all(each.documentation for each in families.values())
    durations = families["clipper_request_duration_seconds"].samples
    buckets = [each.value for each in durations if each.name.endswith("_bucket") and each.labels["app"] == app]
    assert buckets == sorted(buckets)
    assert buckets[-1] >= 1


def test_openmetrics_for_those_who_name_it(app, query_addr):
    answer = send(query_addr, "GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "clipper_requests" in {each.name for each in parse_openmetrics(answer.body.decode())}


def test_the_original_json_for_those_who_name_it(app, query_addr):
    ask(query_addr, app, [1.0])
    answer = send(query_addr, "GET", "/metrics", headers={"Accept": "application/json"})
    assert answer.headers["Content-Type"] == "application/json"
    report = answer.json()
    assert report.keys() == {"counters", "ratio_counters", "meters", "histograms"}
    items = {name: item for kind in report.values() for each in kind for name, item in each.items()}
    assert items["app:app:num_predictions"]["count"] >= 1
    assert items["app:app:default_prediction_ratio"] == {"ratio": 0}
    assert items["app:app:prediction_latency"]["unit"] == "microseconds"
    assert items["model:app:1:batch_size"]["min"] >= 1
    assert "internal:prediction_cache_hit_ratio" in items


def test_what_is_no_http_ends_the_connection_with_a_400(wire):
    received = wire(b"what is this?\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"] == "Bad request"


def test_what_is_refused_counts_as_an_answer(wire, query_addr):
    def refused():
        return metrics(query_addr)("clipper_http_responses_total", status="4xx")

    before = refused()
    wire(b"BAD\r\n\r\n")
    wire(b"POST /app/predict HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")
    wire(b"GET /nowhere HTTP/1.1\r\n\r\n")
    assert refused() == before + 3


@pytest.mark.parametrize("path", ["//app/predict", "/app/predict//", "/app//predict"])
def test_paths_with_empty_parts_are_not_applications(app, query_addr, path):
    assert "no endpoint" in refusal(send(query_addr, "POST", path, b"{}"), 404)
