"""Feedback over REST and Python: learned, durable, idempotent, whichever frontend takes it and whoever is killed."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clipper_admin import ClipperException
from clipper_admin.deployers.python import deploy_python_closure
from tests.clipper_admin.managers.polling import eventually
from tests.integration.models import answering
from tests.integration.processes import is_ready, pids_of
from tests.integration.rest import ask, metrics, post, refusal, send

pytestmark = pytest.mark.cluster


def first_of():
    def first(xs):
        return [int(x[0]) for x in xs]

    return first


@pytest.fixture
def app_of(clipper, unique):
    """Makes an application of these functions; returns its name and those of the models."""

    def app_of(*functions, on=clipper, policy="hedge", slo=10_000_000, **fields):
        on.register_application(unique, "doubles", "none", slo, selection_policy=policy, **fields)
        names = [f"{unique}-{position}" for position in range(len(functions))]
        for name, function in zip(names, functions, strict=True):
            deploy_python_closure(on, name, 1, "doubles", function)
            on.link_model_to_app(unique, name)
        return unique, names

    return app_of


def feed(address, app, **fields):
    answer = post(address, f"/{app}/update", fields)
    assert answer.status == 200, answer
    return answer.json()


def test_labels_teach_which_model_to_trust(app_of, clipper, query_addr):
    app, (good, bad) = app_of(first_of(), answering("-7"))
    for number in range(40):
        answer = ask(query_addr, app, [float(number)])
        told = feed(query_addr, app, label=number, query_id=answer["query_id"])
        assert told == {
            "accepted": True,
            "query_id": answer["query_id"],
            "losses": {f"{good}:1": 0.0, f"{bad}:1": 1.0},
        }
    assert feed(query_addr, app, label=39, query_id=answer["query_id"]) == {"accepted": False, "duplicate": True}
    state = clipper.get_selection_state(app)
    assert state["feedbacks"] == 40
    assert state["weights"][good] > 0.95
    assert state["scores"] == {
        f"{good}:1": {"count": 40, "mean_loss": 0.0},
        f"{bad}:1": {"count": 40, "mean_loss": 1.0},
    }
    value = metrics(query_addr)
    assert value("clipper_feedback_total", app=app, result="accepted") == 40
    assert value("clipper_feedback_total", app=app, result="duplicate") == 1
    assert value("clipper_policy_weight", app=app, model=good) == pytest.approx(state["weights"][good])


def test_each_user_has_models_of_his_own(app_of, clipper, query_addr):
    app, (left, right) = app_of(answering("1"), answering("2"))
    for number in range(8):
        for user, label in (("用户", 1), ("bob", 2)):
            answer = clipper.predict(app, [float(number)], user_id=user)
            clipper.send_feedback(app, label=label, query_id=answer["query_id"], user_id=user)
    assert clipper.predict(app, [99.0], user_id="用户")["output"] == 1
    assert clipper.predict(app, [99.0], user_id="bob")["output"] == 2
    assert clipper.get_selection_state(app, "bob")["weights"][right] > 0.6
    assert clipper.get_selection_state(app, "nobody")["feedbacks"] == 0
    clipper.delete_user_state("bob", app)
    assert clipper.get_selection_state(app, "bob")["feedbacks"] == 0
    state = clipper.get_selection_state(app)
    assert state["feedbacks"] == 16, "what he taught everybody stays, without his name"
    eventually(lambda: clipper.predict(app, [98.0], user_id="bob")["confidence"] < 0.9)
    assert left in state["weights"]


@pytest.mark.heavy
def test_any_frontend_joins_what_another_has_answered(start, app_of):
    pair = start("two", num_frontend_replicas=2)
    app, _ = app_of(first_of(), answering("-7"), on=pair)
    address = pair.get_query_addr()

    def one(number):
        answer = ask(address, app, [float(number)])
        return feed(address, app, label=number, query_id=answer["query_id"])["accepted"]

    with ThreadPoolExecutor(8) as pool:  # each request is a connection of its own, to either frontend
        accepted = list(pool.map(one, range(400)))
    assert all(accepted)
    assert pair.get_selection_state(app)["feedbacks"] == 400, "two frontends fed one state, and no update is lost"


@pytest.mark.heavy
def test_acknowledged_feedback_survives_kill_9_of_the_frontend(start, app_of, unique):
    clipper = start("killed")
    app, (good, bad) = app_of(first_of(), answering("-7"), on=clipper)
    address = clipper.get_query_addr()
    for number in range(30):
        answer = ask(address, app, [float(number)])
        feed(address, app, label=number, query_id=answer["query_id"])
    last = answer["query_id"]
    os.kill(pids_of(clipper)["query-frontend-0"], signal.SIGKILL)
    eventually(lambda: is_ready(address))
    assert clipper.get_selection_state(app)["feedbacks"] == 30
    assert feed(address, app, label=29, query_id=last) == {"accepted": False, "duplicate": True}
    answer = eventually(lambda: (a := ask(address, app, [5.0])) and not a["default"] and a)
    assert answer["output"] == 5
    assert answer["confidence"] > 0.9, "what was learned is there after the restart"
    assert clipper.get_selection_state(app)["weights"][good] > 0.9
    assert bad


def test_one_model_gets_feedback_too(serve, clipper, query_addr):
    name = serve(first_of())
    answer = ask(query_addr, name, [4.0])
    assert feed(query_addr, name, label=4, query_id=answer["query_id"])["losses"] == {f"{name}:1": 0.0}
    assert clipper.send_feedback(name, label=5, input=[4.0])["losses"] == {f"{name}:1": 1.0}
    query_id = ask(query_addr, name, [6.0])["query_id"]
    assert clipper.send_feedback(name, loss=0.25, query_id=query_id)["losses"] == {f"{name}:1": 0.25}
    assert clipper.get_selection_state(name)["scores"][f"{name}:1"] == {"count": 3, "mean_loss": 1.25 / 3}


def test_a_shadow_is_scored_and_promoted(serve, clipper, query_addr, unique):
    name = serve(answering("1"))
    shadow = f"{unique}-shadow"
    deploy_python_closure(clipper, shadow, 1, "doubles", answering("2"))
    clipper.link_model_to_app(name, shadow, shadow=True)
    assert clipper.get_app_info(name)["shadow_models"] == [shadow]
    for number in range(40):
        answer = ask(query_addr, name, [float(number)])
        assert answer["output"] == 1
        assert "models" not in answer
        losses = feed(query_addr, name, label=2, query_id=answer["query_id"])["losses"]
        assert losses[f"{name}:1"] == 1.0
    scores = clipper.get_selection_state(name)["scores"]
    assert scores[f"{name}:1"] == {"count": 40, "mean_loss": 1.0}
    assert scores[f"{shadow}:1"]["mean_loss"] == 0.0
    assert scores[f"{shadow}:1"]["count"] >= 30, "one that is slower than the feedback is not scored"
    assert clipper.promote_model(name) == shadow
    assert clipper.get_linked_models(name) == [shadow]
    assert ask(query_addr, name, [1.0])["output"] == 2


def test_a_split_is_sticky(app_of, query_addr):
    app, names = app_of(answering("1"), answering("2"), policy="split")
    seen = {
        user: {ask(query_addr, app, [0.0], user_id=user)["output"] for _ in range(3)} for user in map(str, range(30))
    }
    assert all(len(outputs) == 1 for outputs in seen.values())
    assert {min(outputs) for outputs in seen.values()} == {1, 2}
    assert len(names) == 2


def test_the_shares_of_a_split_are_those_given(app_of, clipper, query_addr, unique):
    app, names = app_of(
        answering("1"), answering("2"), policy="split", policy_params={"weights": {f"{unique}-1": 1.0}}
    )
    assert {ask(query_addr, app, [float(number)])["output"] for number in range(20)} == {2}
    clipper.set_selection_policy(app, "split", {"weights": {names[0]: 1.0}})
    assert {ask(query_addr, app, [float(number)])["output"] for number in range(20)} == {1}


def test_what_is_not_sure_enough_is_the_default(app_of, clipper, query_addr):
    app, names = app_of(answering("1"), answering("2"), confidence_threshold=0.6)
    answer = ask(query_addr, app, [1.0])
    assert (answer["output"], answer["default"], answer["default_reason"]) == ("none", True, "low_confidence")
    assert answer["default_explanation"] == "The confidence is 0.5, below the application's threshold of 0.6"
    assert answer["models"] == [f"{name}:1" for name in names]
    clipper.set_selection_policy(app, "hedge", confidence_threshold=0.4)
    assert ask(query_addr, app, [1.0])["output"] == 1
    assert metrics(query_addr)("clipper_default_outputs_total", app=app, reason="low_confidence") == 1


def test_numbers_are_scored_on_the_applications_scale(app_of, clipper, query_addr):
    app, (first, second) = app_of(answering("1"), answering("4"), loss="absolute", loss_scale=6.0)
    answer = ask(query_addr, app, [1.0])
    assert feed(query_addr, app, label=4, query_id=answer["query_id"])["losses"] == {
        f"{first}:1": 0.5,
        f"{second}:1": 0,
    }
    clipper.set_selection_policy(app, "mean", loss="squared", loss_scale=3.0)
    answer = ask(query_addr, app, [2.0])
    assert answer["output"] == 2.5
    losses = feed(query_addr, app, label=4, query_id=answer["query_id"])["losses"]
    assert losses == {f"{first}:1": 1.0, f"{second}:1": 0}


def test_a_policy_is_changed_while_it_serves(app_of, clipper, query_addr):
    app, (good, _) = app_of(first_of(), answering("-7"))
    answer = ask(query_addr, app, [1.0])
    clipper.set_selection_policy(app, "thompson")
    assert clipper.get_app_info(app)["selection_policy"] == "thompson"
    assert feed(query_addr, app, label=1, query_id=answer["query_id"])["accepted"]
    for number in range(30):
        answer = ask(query_addr, app, [float(number)])
        assert len(answer["models"]) == 1
        feed(query_addr, app, label=number, query_id=answer["query_id"])
    assert clipper.get_selection_state(app)["weights"][good] > 0.5


@pytest.mark.heavy
def test_a_policy_of_ones_own(start, app_of, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    clipper = start("own")
    query_addr = clipper.get_query_addr()
    app, (first, second) = app_of(answering("1"), answering("2"), policy="lastlinked:LastLinked", on=clipper)
    answer = ask(query_addr, app, [1.0])
    assert answer["output"] == 2
    assert answer["models"] == [f"{second}:1"]
    assert feed(query_addr, app, label=1, query_id=answer["query_id"])["accepted"]
    assert clipper.get_selection_state(app)["state"] == {"seen": 1}
    with pytest.raises(ClipperException, match="no module"):
        clipper.set_selection_policy(app, "nowhere.to_be:Found")
    assert first


BAD = [
    ({"query_id": 1}, 400, "send one of label and loss"),
    ({"label": 1, "loss": 0.5, "query_id": 1}, 400, "not both"),
    ({"label": 1}, 400, "send one of query_id and input"),
    ({"label": 1, "query_id": 1, "input": [1.0]}, 400, "not both"),
    ({"label": 1, "query_id": "seven"}, 400, "Expected `int | null`"),
    ({"label": 1, "query_id": 10**30}, 400, "$.query_id"),
    ({"label": 1, "query_id": -1}, 400, "$.query_id"),
    ({"label": 1, "query_id": 9_000_000_000_000_000}, 404, "send the query's input"),
    ({"label": 1, "input": "seven"}, 400, "input"),
    ({"label": 1, "input": []}, 400, "input is empty"),
    ({"label": 1, "query_id": 1, "colour": "red"}, 400, "unknown field `colour`"),
    ({"loss": "NaN", "query_id": 1}, 400, "loss"),
    ({"label": 1, "query_id": 1, "user_id": "x" * 10_240}, 400, "at most 512 fit"),
    ({"label": 1, "query_id": 1, "user_id": [1]}, 400, "user_id"),
]


@pytest.fixture(scope="module")
def known(clipper):
    """An application that has answered one query."""
    clipper.register_application("known", "doubles", "none", 10_000_000, selection_policy="hedge")
    deploy_python_closure(clipper, "known-model", 1, "doubles", first_of())
    clipper.link_model_to_app("known", "known-model")
    return ask(clipper.get_query_addr(), "known", [1.0])["query_id"]


@pytest.mark.parametrize(("body", "status", "cause"), BAD)
def test_bad_feedback_is_refused_with_the_way_out(known, query_addr, body, status, cause):
    assert cause in refusal(post(query_addr, "/known/update", body), status)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"", "the body is empty"),
        (b"{", "truncated"),
        (b'{"loss": NaN, "query_id": 1}', "malformed"),
        (b'{"loss": 1e999, "query_id": 1}', "out of range"),
        (b"[1]", "expected `object`"),
        (b'{"label": "\xff", "query_id": 1}', "utf"),
        (b'{"label": ' + b"[" * 5000 + b"]" * 5000 + b', "query_id": 1}', "nested"),
    ],
)
def test_what_is_no_json_is_refused(known, query_addr, body, cause):
    assert cause in refusal(send(query_addr, "POST", "/known/update", body), 400).lower()


def test_a_large_input_is_fed_back_by_its_query_id(known, query_addr):
    cause = refusal(post(query_addr, "/known/update", {"label": 1, "input": [0.125] * 200_000}), 413)
    assert "send the query_id in place of a large input" in cause


def test_losses_and_labels_out_of_range_are_refused(known, query_addr):
    for loss in (-0.5, 1.5):
        assert "a number from 0" in refusal(post(query_addr, "/known/update", {"loss": loss, "query_id": known}), 400)
    assert "null" in refusal(post(query_addr, "/known/update", {"label": None, "query_id": known}), 400)


def test_other_methods_and_applications(known, query_addr):
    answer = send(query_addr, "GET", "/known/update")
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"
    assert "'nobody' does not exist" in refusal(post(query_addr, "/nobody/update", {"label": 1, "query_id": 1}), 404)


def test_feedback_of_another_application(known, app_of, query_addr):
    app, _ = app_of(answering("1"))
    assert f"application {app} knows no query {known}" in refusal(
        post(query_addr, f"/{app}/update", {"label": 1, "query_id": known}), 404
    )
