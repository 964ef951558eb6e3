"""An application of several models answers with what most of them say, at the deadline with what has come."""

import time

import pytest

from clipper_admin import ClipperException
from clipper_admin.deployers.python import deploy_python_closure
from tests.integration.models import answering
from tests.integration.rest import ask, ask_batch, metrics, post, refusal

pytestmark = pytest.mark.cluster


def hanging():
    """Answers no input that begins with 0, for as long as a test may take."""

    def hang(xs):
        import time

        if any(x[0] == 0 for x in xs):
            time.sleep(30)
        return ["a" for _ in xs]

    return hang


@pytest.fixture
def panel(clipper, unique):
    """Makes an application of these models, linked in their order; returns its name and theirs."""

    def panel(*functions, slo=10_000_000):
        clipper.register_application(unique, "doubles", "none", slo, selection_policy="majority_vote")
        names = [f"{unique}-{position}" for position in range(len(functions))]
        for name, function in zip(names, functions, strict=True):
            deploy_python_closure(clipper, name, 1, "doubles", function)
            clipper.link_model_to_app(unique, name)
        assert clipper.get_linked_models(unique) == names
        return unique, names

    return panel


def test_all_answer_and_the_majority_wins(panel, query_addr):
    app, names = panel(answering("b"), answering("a"), answering("a"))
    began = time.monotonic()
    answer = ask(query_addr, app, [1.0])
    assert time.monotonic() - began < 5  # of the 10 s that it has
    assert (answer["output"], answer["default"]) == ("a", False)
    assert answer["confidence"] == pytest.approx(2 / 3)
    assert sorted(answer["models"] + answer.get("missing", [])) == [f"{name}:1" for name in names]
    assert {f"{name}:1" for name in names[1:]} <= set(answer["models"]), "their two votes decide"
    for each in ask_batch(query_addr, app, [[2.0], [3.0]]):
        assert (each["output"], each["confidence"]) == ("a", pytest.approx(2 / 3))
    again = ask(query_addr, app, [1.0])  # from the cache
    assert (again["output"], again["confidence"]) == (answer["output"], answer["confidence"])


def test_at_the_deadline_it_is_answered_from_what_has_come(panel, query_addr):
    app, names = panel(answering("a"), hanging(), answering("b"), slo=500_000)
    assert ask(query_addr, app, [1.0])["output"] == "a", "two votes of three"
    began = time.monotonic()
    answer = ask(query_addr, app, [0.0])
    assert time.monotonic() - began > 0.495
    assert (answer["output"], answer["default"]) == ("a", False)
    assert answer["confidence"] == pytest.approx(1 / 3)
    assert sorted(answer["models"]) == [f"{names[0]}:1", f"{names[2]}:1"]
    assert answer["missing"] == [f"{names[1]}:1"]
    value = metrics(query_addr)
    assert value("clipper_requests_total", app=app, outcome="default") == 0


def test_what_cannot_change_the_answer_is_not_waited_for(panel, query_addr):
    app, names = panel(answering("a"), hanging(), answering("a"), slo=10_000_000)
    assert ask(query_addr, app, [1.0])["output"] == "a"
    began = time.monotonic()
    answer = ask(query_addr, app, [0.0])
    assert time.monotonic() - began < 5  # of the 10 s that it has
    assert (answer["output"], answer["confidence"]) == ("a", pytest.approx(2 / 3))
    assert answer["missing"] == [f"{names[1]}:1"]


def test_models_that_fail_cost_confidence(clipper, panel, query_addr):
    def fail(xs):
        raise ValueError("not today")

    app, (first, second) = panel(fail, answering("a"))
    answer = ask(query_addr, app, [1.0])
    assert (answer["output"], answer["confidence"], answer["models"]) == ("a", 0.5, [f"{second}:1"])
    clipper.set_num_replicas(second, 0)
    answer = ask(query_addr, app, [2.0])
    assert (answer["output"], answer["default"]) == ("none", True)
    assert answer["default_reason"] in ("model_error", "no_replica")

    clipper.unlink_model_from_app(app, first)
    assert clipper.get_linked_models(app) == [second]
    clipper.set_num_replicas(second, 1)
    answer = ask(query_addr, app, [3.0])
    assert answer["output"] == "a"
    assert not {"confidence", "models"} & answer.keys()  # one model is no ensemble


def test_links_and_versions_of_an_ensemble(clipper, panel, query_addr):
    app, names = panel(answering("a"), answering("b"))
    with pytest.raises(ClipperException, match=f"'{names[0]}' is already linked"):
        clipper.link_model_to_app(app, names[0])
    cause = refusal(post(query_addr, f"/{app}/predict", {"input": [1.0], "version": "1"}), 400)
    assert f"is linked to 2 models ({', '.join(names)}): a version can be asked of an application with one" in cause
    assert ask(query_addr, app, [1.0])["output"] == "a"  # one vote each: the first that was linked
    deploy_python_closure(clipper, names[0], 2, "doubles", answering("b"))
    answer = ask(query_addr, app, [1.0])
    assert answer["output"] == "b"
    assert sorted(answer["models"] + answer.get("missing", [])) == [f"{names[0]}:2", f"{names[1]}:1"]
