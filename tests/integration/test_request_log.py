"""A request's name goes from HTTP to the model and back, and is in the log of everybody who had to do with it."""

import json
from pathlib import Path

import pytest

from clipper_admin import ClipperConnection, LocalContainerManager
from tests.clipper_admin.managers.polling import eventually
from tests.integration.rest import post, send


@pytest.fixture(scope="module")
def clipper(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    manager = LocalContainerManager("c", 0, 0, 0, home=home, log_level="debug", log_format="json")
    connection = ClipperConnection(manager)
    connection.start_clipper()
    yield connection
    connection.stop_all(graceful=False)


def naming():
    def name(inputs):
        from clipper_admin.logs import request_ids

        if any(each[0] < 0 for each in inputs):
            raise ValueError("negative")
        return [json.dumps(each) for each in request_ids()]

    return name


@pytest.fixture(scope="module")
def app(clipper):
    from clipper_admin.deployers.python import deploy_python_closure

    clipper.register_application("app", "doubles", "-1", 5_000_000)
    deploy_python_closure(clipper, "model", 1, "doubles", naming())
    clipper.link_model_to_app("app", "model")
    eventually(lambda: post(clipper.get_query_addr(), "/app/predict", {"input_batch": []}).status == 200)
    return "app"


def lines(clipper, program):
    text = Path(clipper.cm.log_path(program)).read_text()
    return [json.loads(line) for line in text.splitlines()]


def lines_about(clipper, program, name):
    """Those that name a request, once the last one is there, which is of level ``debug``."""

    def found():
        every = lines(clipper, program)
        return [each for each in every if name in (each.get("request_id"), *each.get("request_ids", ()))]

    eventually(lambda: any(each["level"] == "debug" for each in found()))
    return found()


def ask(clipper, app, body, name):
    answer = send(clipper.get_query_addr(), "POST", f"/{app}/predict", body, {"X-Request-Id": name})
    assert answer.headers["X-Request-Id"] == name
    return answer


def test_a_prediction_is_found_in_every_log_by_its_name(clipper, app):
    answer = ask(clipper, app, {"input": [1.0]}, "first").json()
    assert answer["output"] == "first"

    (line,) = lines_about(clipper, "query-frontend-0", "first")
    assert (line["path"], line["status"], line["query_id"]) == ("/app/predict", 200, answer["query_id"])
    assert line["frontend"] == "frontend-0"
    assert 0 < line["seconds"] < 5
    (line,) = lines_about(clipper, "model_1-0", "first")
    assert (line["model"], line["version"], line["replica"], line["queries"]) == ("model", "1", "0", 1)


def test_all_queries_of_a_request_have_its_name(clipper, app):
    answer = ask(clipper, app, {"input_batch": [[float(number)] for number in range(10, 15)]}, "batch").json()
    assert {each["output"] for each in answer["batch_predictions"]} == {"batch"}
    assert sum(line["queries"] for line in lines_about(clipper, "model_1-0", "batch")) == 5


def test_why_there_is_the_default_output_is_found_by_the_name(clipper, app):
    answer = ask(clipper, app, {"input": [-1.0]}, "bad").json()
    assert answer["default_reason"] == "model_error"

    of_frontend = lines_about(clipper, "query-frontend-0", "bad")
    (line,) = [each for each in of_frontend if each["level"] == "warning"]
    assert (line["app"], line["query_id"], line["reason"]) == ("app", answer["query_id"], "model_error")
    (line,) = [each for each in of_frontend if each["level"] == "debug"]
    assert line["default_reason"] == "model_error"
    failed = [each for each in lines_about(clipper, "model_1-0", "bad") if each["level"] == "error"]
    assert "ValueError: negative" in failed[0]["message"]


def test_refused_requests_and_feedback_are_named_as_well(clipper, app):
    assert ask(clipper, app, {"nonsense": 1}, "wrong").status == 400
    assert [line["status"] for line in lines_about(clipper, "query-frontend-0", "wrong")] == [400]
    body = {"query_id": 2**52, "label": 1}
    answer = send(clipper.get_query_addr(), "POST", f"/{app}/update", body, {"X-Request-Id": "fed"})
    assert (answer.status, answer.headers["X-Request-Id"]) == (404, "fed")


def test_feedback_by_input_is_named_to_the_model_that_is_asked(clipper, app):
    body = {"input": [30.0], "label": 1}
    answer = send(clipper.get_query_addr(), "POST", f"/{app}/update", body, {"X-Request-Id": "by-input"})
    assert answer.status == 200, answer
    assert sum(line["queries"] for line in lines_about(clipper, "model_1-0", "by-input")) == 1


def test_management_names_what_a_request_has_changed(clipper):
    body = {"name": "other", "input_type": "doubles", "default_output": "0", "latency_slo_micros": 1000}
    address, headers = clipper.cm.get_admin_addr(), {"X-Request-Id": "change"}
    answer = send(address, "POST", "/admin/add_app", body, headers)
    assert (answer.status, answer.headers["X-Request-Id"]) == (200, "change")
    found = lines_about(clipper, "management-frontend", "change")
    assert any("Successfully added application with name 'other'" in line["message"] for line in found)
    assert [line["status"] for line in found if "status" in line] == [200]


def test_names_that_could_break_a_line_are_not_taken(clipper, app):
    for value, name in enumerate(("x" * 129, "two words", "")):
        answer = send(
            clipper.get_query_addr(), "POST", f"/{app}/predict", {"input": [20.0 + value]}, {"X-Request-Id": name}
        )
        assert answer.json()["output"] == ""
        assert "X-Request-Id" not in answer.headers


def test_every_line_of_every_program_is_an_object(clipper, app):
    for program in clipper.cm.programs():
        assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines(clipper, program)))


def test_what_is_logged_stays_as_it_was(clipper, app):
    clipper.stop_all(keep_state=True)
    again = ClipperConnection(LocalContainerManager("c", 0, 0, 0, home=clipper.cm.home))
    again.start_clipper()
    clipper.connect()
    ask(clipper, app, {"input": [7.0]}, "after")
    assert lines_about(clipper, "query-frontend-0", "after")


@pytest.mark.parametrize(("option", "value"), [("log_level", "loud"), ("log_format", "xml")])
def test_what_can_not_be_is_told(option, value):
    from clipper_admin import ClipperException

    with pytest.raises(ClipperException, match=f"{option} must be one of .*, not '{value}'"):
        LocalContainerManager(**{option: value})
