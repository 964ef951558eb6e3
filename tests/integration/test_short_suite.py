"""The short suite of the original's integration tests (reference 11.3), with exact answers.

Its test of images with custom packages is ``test_a_model_has_its_own_packages`` of the local manager.
"""

from pathlib import Path

import pytest

from clipper_admin import ClipperException
from clipper_admin.deployers.python import create_endpoint, deploy_python_closure
from tests.clipper_admin.managers.polling import eventually
from tests.integration.models import adding, answering
from tests.integration.rest import ask, ask_batch, outputs, post, refusal

pytestmark = pytest.mark.cluster


def replicas_of(clipper, *names):
    return sorted(each for each in clipper.get_all_model_replicas() if each.split(":")[0] in names)


def programs_of(clipper, name):
    return [each.program for each in clipper.cm.process_table() if each.program.startswith(f"{name}_")]


def test_both_versions_of_a_model_are_registered(clipper, unique):
    clipper.register_model(unique, "v1", "doubles", labels=["a", "b c"])
    clipper.register_model(unique, 2, "d", batch_size=7)
    described = {
        "model_name": unique,
        "input_type": "doubles",
        "container_name": "NO_CONTAINER",
        "model_data_path": "DEPRECATED",
        "batching": "aimd",
        "batch_delay_micros": 0,
    }
    first = {"model_version": "v1", "labels": ["a", "b c"], "batch_size": -1, "is_current_version": False}
    second = {"model_version": "2", "labels": [], "batch_size": 7, "is_current_version": True}
    assert clipper.get_model_info(unique, "v1") == described | first
    assert clipper.get_model_info(unique, 2) == described | second
    assert {f"{unique}:v1", f"{unique}:2"} <= set(clipper.get_all_models())
    assert clipper.get_current_model_version(unique) == "2"


def test_a_registered_application_is_listed_and_described(clipper, unique):
    clipper.register_application(unique, "ints", "DEFAULT", 100_000)
    assert unique in clipper.get_all_apps()
    info = clipper.get_app_info(unique)
    assert info in clipper.get_all_apps(verbose=True)
    assert info["name"] == unique
    assert info["input_type"] == "integers"
    assert info["default_output"] == "DEFAULT"
    assert info["latency_slo_micros"] == 100_000
    assert info["linked_models"] == []


def test_an_unknown_application_has_no_info(clipper, unique):
    assert clipper.get_app_info(unique) is None


def test_an_unknown_model_can_not_be_linked(clipper, unique):
    clipper.register_application(unique, "doubles", "d", 100_000)
    with pytest.raises(ClipperException, match="No model with name"):
        clipper.link_model_to_app(unique, "nobody")
    assert clipper.get_linked_models(unique) == []


def test_links_come_and_go(clipper, unique):
    clipper.register_application(unique, "doubles", "d", 100_000)
    clipper.register_model(unique, 1, "doubles")
    clipper.link_model_to_app(unique, unique)
    assert clipper.get_linked_models(unique) == [unique]
    clipper.unlink_model_from_app(unique, unique)
    assert clipper.get_linked_models(unique) == []


def test_a_model_without_containers_can_not_be_scaled(clipper, unique):
    clipper.register_model(unique, 1, "doubles")
    with pytest.raises(ClipperException, match="containerless model"):
        clipper.set_num_replicas(unique, 2)


def test_a_version_is_set_back(clipper, unique):
    for version in ("v1", "v2"):
        clipper.register_model(unique, version, "doubles")
    clipper.set_model_version(unique, "v1")
    assert clipper.get_current_model_version(unique) == "v1"
    assert clipper.get_model_info(unique, "v1")["is_current_version"]
    assert not clipper.get_model_info(unique, "v2")["is_current_version"]


def test_every_process_has_a_log_file(clipper, serve, tmp_path):
    name = serve(adding())
    written = clipper.get_clipper_logs(str(tmp_path / "logs"))
    texts = {each: Path(each).read_text() for each in written}
    for program, line in (
        ("query-frontend-0", "serves on"),
        ("management-frontend", "listening on"),
        (f"{name}_1-0", "Serving predictions for doubles input type."),
    ):
        assert line in texts[str(tmp_path / "logs" / f"c_{program}.log")]


def test_the_instance_tells_its_counts(clipper, serve, query_addr):
    name = serve(adding())
    for number in range(3):
        assert ask(query_addr, name, [float(number)])["output"] == number
    counters = {key: value for each in clipper.inspect_instance()["counters"] for key, value in each.items()}
    assert counters[f"app:{name}:num_predictions"] == {"count": 3}
    assert counters[f"model:{name}:1:num_predictions"] == {"count": 3}


def test_a_deploy_runs_exactly_one_container(clipper, unique):
    deploy_python_closure(clipper, unique, 1, "doubles", adding())
    assert programs_of(clipper, unique) == [f"{unique}_1-0"]
    assert replicas_of(clipper, unique) == [f"{unique}:1:0"]
    assert clipper.get_model_replica_info(unique, 1, 0)["model_id"] == f"{unique}:1"
    assert clipper.get_num_replicas(unique) == 1


def test_scaling_up_and_down(clipper, serve, query_addr):
    name = serve(adding())
    for wanted in (4, 2):
        clipper.set_num_replicas(name, wanted)
        assert clipper.get_num_replicas(name) == wanted
        assert len(programs_of(clipper, name)) == wanted
        eventually(lambda wanted=wanted: len(replicas_of(clipper, name)) == wanted)
        batch = [[float(wanted), float(each)] for each in range(50)]
        assert outputs(ask_batch(query_addr, name, batch)) == [sum(each) for each in batch]


def test_inactive_versions_are_stopped(clipper, unique):
    deploy_python_closure(clipper, unique, 1, "doubles", adding(), num_replicas=2)
    deploy_python_closure(clipper, unique, 2, "doubles", adding(), num_replicas=3)
    assert len(programs_of(clipper, unique)) == 5
    clipper.stop_inactive_model_versions([unique])
    assert len(programs_of(clipper, unique)) == 3
    assert clipper.get_num_replicas(unique, 1) == 0
    assert clipper.get_num_replicas(unique, 2) == 3
    assert [each for each in clipper.get_all_models() if each.startswith(f"{unique}:")] == [f"{unique}:2"]


def test_models_and_versions_are_stopped_by_name(clipper, unique):
    one, two = f"{unique}-a", f"{unique}-b"
    for name in (one, two):
        for version in (1, 2):
            deploy_python_closure(clipper, name, version, "doubles", adding())

    def registered():
        return {each for each in clipper.get_all_models() if each.split(":")[0] in (one, two)}

    clipper.stop_models([one])
    assert registered() == {f"{two}:1", f"{two}:2"}
    eventually(lambda: replicas_of(clipper, one, two) == [f"{two}:1:0", f"{two}:2:0"])
    clipper.stop_versioned_models({two: [1]})
    assert registered() == {f"{two}:2"}
    eventually(lambda: replicas_of(clipper, one, two) == [f"{two}:2:0"])
    clipper.stop_models([two])
    assert registered() == set()
    assert programs_of(clipper, one) == programs_of(clipper, two) == []


def test_an_endpoint_is_made_in_one_call(clipper, unique, query_addr):
    create_endpoint(clipper, unique, "doubles", adding(), default_output="-1.0")
    assert clipper.get_app_info(unique)["linked_models"] == [unique]
    assert replicas_of(clipper, unique) == [f"{unique}:1:0"]
    eventually(lambda: post(query_addr, f"/{unique}/predict", {"input": [1.1, 2.2, 3.3]}).status == 200)
    assert eventually(lambda: ask(query_addr, unique, [1.1, 2.2, 3.3])["output"] == 1.1 + 2.2 + 3.3)


def test_the_function_answers_here_what_it_answers_there(clipper, serve, query_addr):
    function = adding()
    name = serve(function)
    query, batch = [1.5, 2.25], [[1.1, 2.2, 3.3], [4.4], [0.1, 0.2]]
    (here,) = clipper.test_predict_function({"input": query}, function, "doubles")
    assert ask(query_addr, name, query)["output"] == float(here) == 3.75
    there = post(query_addr, f"/{name}/predict/", {"input_batch": batch}).json()["batch_predictions"]
    assert outputs(there) == list(map(float, clipper.test_predict_function({"input_batch": batch}, function, "d")))


def test_an_unregistered_application_is_gone(clipper, serve, query_addr):
    name = serve(adding())
    clipper.unregister_application(name)
    assert name not in clipper.get_all_apps()
    assert clipper.get_app_info(name) is None
    gone = eventually(lambda: (a := post(query_addr, f"/{name}/predict", {"input": [1.0]})).status == 404 and a)
    assert f"application '{name}' does not exist" in refusal(gone, 404)
    clipper.register_application(name, "doubles", "anew", 100_000)
    eventually(lambda: post(query_addr, f"/{name}/predict", {"input": [1.0]}).status == 200)
    assert ask(query_addr, name, [1.0])["output"] == "anew"  # its old link is gone, too


def test_a_query_names_its_version(clipper, serve, query_addr):
    name = serve(answering("1"))
    deploy_python_closure(clipper, name, "v2", "doubles", answering("2"))
    eventually(lambda: ask(query_addr, name, [1.0])["output"] == 2)
    assert ask(query_addr, name, [1.0], version="1")["output"] == 1
    assert ask(query_addr, name, [1.0], version="v2")["output"] == 2
    unknown = post(query_addr, f"/{name}/predict", {"input": [1.0], "version": "v3"})
    assert refusal(unknown, 400) == f"Requested version: v3 does not exist for model: {name}"
