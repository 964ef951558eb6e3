"""The long suite of the original's integration tests (reference 11.3), and its many apps and models, exactly."""

import pytest

from clipper_admin.deployers.python import deploy_python_closure
from tests.clipper_admin.managers.polling import eventually
from tests.integration.conftest import await_link
from tests.integration.models import adding, answering
from tests.integration.rest import ask, ask_batch, metrics, outputs

pytestmark = pytest.mark.cluster

NO_MODELS = "No connected models found for query"


def counting_batches():
    def size(xs):
        import time

        time.sleep(0.01)
        return [str(len(xs)) for _ in xs]

    return size


def test_the_last_replicas_can_go(clipper, serve, query_addr):
    name = serve(adding(), num_replicas=2, default="gone")
    clipper.set_num_replicas(name, 1)
    for number in range(20):
        assert ask(query_addr, name, [float(number), 1.0])["output"] == number + 1
    clipper.set_num_replicas(name, 0)
    answer = ask(query_addr, name, [100.0])
    assert answer == {
        "query_id": answer["query_id"],
        "output": "gone",
        "default": True,
        "default_explanation": NO_MODELS,
        "default_reason": "no_replica",
    }
    clipper.set_num_replicas(name, 1)
    assert ask(query_addr, name, [100.0])["output"] == 100


def test_an_unlinked_application_answers_its_default(clipper, serve, query_addr):
    name = serve(adding(), default="[1, 2]")
    clipper.unlink_model_from_app(name, name)
    answer = eventually(lambda: (a := ask(query_addr, name, [1.0]))["default"] and a)
    assert answer["output"] == [1, 2]
    assert answer["default_explanation"] == NO_MODELS
    assert answer["default_reason"] == "no_model"
    assert ask_batch(query_addr, name, [[1.0], [2.0]])[1]["default_reason"] == "no_model"


def test_a_deployed_model_answers_every_query(serve, query_addr):
    name = serve(adding(2.0))
    for number in range(50):
        answer = ask(query_addr, name, [float(number), 0.5])
        assert answer == {"query_id": answer["query_id"], "output": 2.0 * (number + 0.5), "default": False}


def test_a_batch_is_answered_in_its_order(serve, query_addr):
    name = serve(adding())
    batch = [[float(each)] * (1 + each % 3) for each in range(1000)]
    answers = ask_batch(query_addr, name, batch)
    assert outputs(answers) == [sum(each) for each in batch]
    assert len({each["query_id"] for each in answers}) == len(batch)


def test_batches_of_one_and_none_are_lists_too(serve, query_addr):
    name = serve(adding())
    assert outputs(ask_batch(query_addr, name, [[1.0, 2.0]])) == [3]
    assert ask_batch(query_addr, name, []) == []


def test_a_fixed_batch_size_is_kept_to(serve, query_addr):
    name = serve(counting_batches(), batch_size=9, slo=30_000_000)
    answers = ask_batch(query_addr, name, [[float(each)] for each in range(450)])
    assert outputs(answers) == [9] * 450
    assert metrics(query_addr)("clipper_batch_size_bucket", model=name, version="1", le="8.0") == 0


def test_batching_off_is_batches_of_one(serve, query_addr):
    name = serve(counting_batches(), batch_size=1, slo=30_000_000)
    assert outputs(ask_batch(query_addr, name, [[float(each)] for each in range(50)])) == [1] * 50


def test_a_learned_batch_size_rises_under_load(serve, query_addr):
    name = serve(counting_batches(), slo=30_000_000)
    sizes = outputs(ask_batch(query_addr, name, [[float(each)] for each in range(200)]))
    assert sizes[0] == 1
    assert max(sizes) >= 20


def test_many_apps_and_many_models(clipper, unique, query_addr):
    apps = [f"{unique}-{each}" for each in "ab"]
    for app in apps:
        clipper.register_application(app, "doubles", "DEFAULT", 10_000_000)
    for version in ("1", "2", "3"):
        for app in apps:
            expected = f"{app} {version}"
            deploy_python_closure(clipper, app, version, "doubles", answering(expected))
            if version == "1":
                clipper.link_model_to_app(app, app)
                await_link(clipper, app, version)
            eventually(lambda app=app, expected=expected: ask(query_addr, app, [1.0])["output"] == expected)
            answers = ask_batch(query_addr, app, [[float(each)] for each in range(25)])
            assert outputs(answers) == [expected] * 25
    for app in apps:
        for version in ("1", "2", "3"):
            assert ask(query_addr, app, [1.0], version=version)["output"] == f"{app} {version}"
    current = [each for each in clipper.get_all_models(verbose=True) if each["is_current_version"]]
    assert {(each["model_name"], each["model_version"]) for each in current} >= {(app, "3") for app in apps}
    assert {each["name"] for each in clipper.get_all_apps(verbose=True)} >= set(apps)


def test_replicas_share_the_work_and_the_metrics_say_so(serve, query_addr):
    name = serve(adding(), num_replicas=2, batch_size=1)
    eventually(lambda: metrics(query_addr)("clipper_replica_up", model=name, version="1") == 2)
    assert outputs(ask_batch(query_addr, name, [[float(each)] for each in range(100)])) == list(range(100))
    eventually(lambda: metrics(query_addr)("clipper_inflight", model=name, version="1") == 0)
    value = metrics(query_addr)
    assert value("clipper_requests_total", app=name, outcome="ok") == 100
    assert value("clipper_requests_total", app=name, outcome="default") == 0
    # On a busy machine some may be late, and are queued once more; not all of those copies are needed in the end.
    hedged = value("clipper_hedged_queries_total", model=name, version="1")
    predictions = value("clipper_predictions_total", model=name, version="1")
    assert 100 <= predictions <= 100 + hedged
    assert value("clipper_request_duration_seconds_count", app=name) == 100
    assert value("clipper_batch_size_sum", model=name, version="1") == predictions
