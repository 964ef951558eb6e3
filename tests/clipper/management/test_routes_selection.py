"""Policies over HTTP, and what was learned: rebuilt from a real journal, as a query frontend would have it."""

import json

import pytest

from clipper.management import learned
from clipper.management.learned import shown
from clipper.selection.learning import Learned, Teaching
from clipper.selection.policies import make_policy
from clipper.store.journal import Entry, StateKey, StoredState
from tests.clipper.management.feedback import feedback

APP = {"name": "app", "input_type": "doubles", "default_output": "-1", "latency_slo_micros": 1000}
MODEL = {"model_version": "1", "labels": [], "input_type": "d", "container_name": "c", "model_data_path": "p"}
EPOCH = 1


@pytest.fixture
def hedge(post):
    """An application that learns, linked to ``a`` and ``b``, with the shadow ``s``."""
    posted(post, "add_app", {**APP, "selection_policy": "hedge", "policy_params": {"eta": 0.5}})
    for name in ("a", "b", "s"):
        posted(post, "add_model", {**MODEL, "model_name": name, "batch_size": -1})
    posted(post, "add_model_links", {"app_name": "app", "model_names": ["a", "b"]})
    posted(post, "add_model_links", {"app_name": "app", "model_names": ["s"], "shadow": True})


def posted(post, endpoint, body):
    answer = post(endpoint, body)
    assert answer.status_code == 200, answer.text
    return answer


def given(number, a=0.0, b=1.0, s=0.5, **fields):
    return feedback(number, {"a": a, "b": b, "s": s}, shadows=("s",), **fields)


def taught(*all_feedback):
    """What a query frontend has learned of this."""
    teaching = Teaching("digits", make_policy("hedge", {"eta": 0.5}, "zero_one", 1.0, "doubles"), EPOCH, "doubles")
    state = teaching.untaught(("a", "b"))
    for each in all_feedback:
        state = teaching.learn(state, each)
    return state


def state_of(post, **fields):
    return posted(post, "get_selection_state", {"app_name": "app", **fields}).json()


@pytest.mark.usefixtures("hedge")
def test_the_state_before_any_feedback(post):
    assert state_of(post) == {
        "app_name": "app",
        "policy": "hedge",
        "params": {"eta": 0.5},
        "user_id": None,
        "epoch": EPOCH,
        "feedbacks": 0,
        "weights": {"a": 0.5, "b": 0.5},
        "scores": {},
        "state": {"seen": 0, "weights": {"a": 0.5, "b": 0.5}},
    }


@pytest.mark.usefixtures("hedge")
@pytest.mark.parametrize("page", [1, 1000])
def test_the_state_is_that_of_the_frontends(post, journal, monkeypatch, page):
    monkeypatch.setattr(learned, "PAGE", page)
    all_feedback = [given(1), given(2, user="ann", a=1.0, b=0.0), given(3), given(4, a=0.5)]
    journal.append([*all_feedback, given(5, app="other"), given(6, epoch=7)])
    told, expected = state_of(post), taught(*all_feedback)
    assert told["state"] == expected.state
    assert told["weights"] == pytest.approx(expected.state["weights"])
    assert told["feedbacks"] == 4
    assert told["scores"] == {
        "a:1": {"count": 4, "mean_loss": 0.375},
        "b:1": {"count": 4, "mean_loss": 0.75},
        "s:1": {"count": 4, "mean_loss": 0.5},
    }


@pytest.mark.usefixtures("hedge")
def test_a_kept_state_is_brought_up_to_date(post, journal):
    all_feedback = [given(number) for number in range(1, 6)]
    journal.append(all_feedback)
    kept = StoredState(EPOCH, 3, taught(*all_feedback[:3]).plain())
    journal.save({StateKey("app", ""): kept}, checkpoint=2)
    assert state_of(post)["state"] == taught(*all_feedback).state
    journal.save({StateKey("app", ""): StoredState(EPOCH, 5, taught(*all_feedback).plain())}, checkpoint=5)
    assert state_of(post)["feedbacks"] == 5


@pytest.mark.usefixtures("hedge")
def test_the_state_of_a_user(post, journal):
    journal.append([given(1), given(2, user="ann", a=1.0, b=0.0), given(3), given(4, user="7")])
    ann, nobody = state_of(post, user_id="ann"), state_of(post, user_id="nobody")
    assert (ann["user_id"], ann["feedbacks"], ann["scores"]["a:1"]) == ("ann", 1, {"count": 1, "mean_loss": 1.0})
    assert ann["weights"]["b"] > 0.5 > ann["weights"]["a"]
    assert (nobody["feedbacks"], nobody["scores"]) == (0, {})
    assert nobody["state"] == state_of(post)["state"]
    assert state_of(post, user_id=7)["feedbacks"] == 1
    post("delete_user_state", {"user_id": "ann"})
    assert state_of(post, user_id="ann")["feedbacks"] == 0


@pytest.mark.usefixtures("hedge")
def test_a_removed_model_leaves_no_trace_and_a_new_one_starts_at_the_average(post, journal):
    journal.append([given(number) for number in range(1, 40)])
    before = state_of(post)["weights"]
    posted(post, "delete_model_links", {"app_name": "app", "model_names": ["a", "s"]})
    posted(post, "add_model_links", {"app_name": "app", "model_names": ["s"]})
    weights = state_of(post)["weights"]
    assert before["a"] > 0.9
    assert weights == pytest.approx({"b": 0.5, "s": 0.5})


@pytest.mark.usefixtures("hedge")
def test_another_policy_starts_anew_and_another_threshold_does_not(post, journal):
    journal.append([given(1)])
    change = {"app_name": "app", "policy": "hedge", "params": {"eta": 0.5}, "confidence_threshold": 0.75}
    answer = posted(post, "set_selection_policy", change)
    assert answer.text == "Successfully set selection policy of application 'app'"
    assert posted(post, "get_application", {"name": "app"}).json()["confidence_threshold"] == 0.75
    assert state_of(post)["feedbacks"] == 1
    posted(post, "set_selection_policy", {**change, "params": {}, "loss_scale": 2})
    told = state_of(post)
    assert (told["feedbacks"], told["params"], told["policy"]) == (0, {}, "hedge")
    assert told["epoch"] > EPOCH
    app = posted(post, "get_application", {"name": "app"}).json()
    assert (app["confidence_threshold"], app["loss"], app["loss_scale"]) == (0.75, "zero_one", 2.0)


@pytest.mark.usefixtures("hedge")
def test_refusals_of_policies(post):
    for body, status, cause in (
        ({"app_name": "nope", "policy": "ucb1"}, 404, "No application with name 'nope' exists."),
        ({"app_name": "app", "policy": "best"}, 400, "Unknown selection policy 'best'"),
        ({"app_name": "app", "policy": "ucb1", "params": {"x": 1}}, 400, "'ucb1' has no parameter 'x'"),
        ({"app_name": "app", "policy": "nowhere.mine:Policy"}, 400, "nowhere"),
        ({"app_name": "app", "policy": "single"}, 409, "end the choice with promote_model"),
    ):
        answer = post("set_selection_policy", body)
        assert (answer.status_code, cause in answer.json()["cause"]) == (status, True), answer.text
    assert state_of(post)["epoch"] == EPOCH


@pytest.mark.usefixtures("hedge")
def test_get_state_gives_the_weights_as_text(post, journal):
    journal.append([given(1)])
    answer = posted(post, "get_state", {"app_name": "app", "uid": 0})
    assert answer.headers["content-type"].startswith("text/plain")
    assert json.loads(answer.text) == state_of(post, user_id=0)["weights"]


@pytest.mark.parametrize("policy", ["majority_vote", "split", "mean", "single"])
def test_what_does_not_learn_is_scored_all_the_same(post, journal, policy):
    posted(post, "add_app", {**APP, "selection_policy": policy})
    posted(post, "add_model", {**MODEL, "model_name": "a", "batch_size": -1})
    posted(post, "add_model_links", {"app_name": "app", "model_names": ["a"]})
    journal.append([given(1, linked=("a",))])
    told = state_of(post)
    assert (told["weights"], told["feedbacks"]) == ({"a": 1.0}, 1)
    assert told["scores"]["s:1"] == {"count": 1, "mean_loss": 0.5}
    assert posted(post, "get_state", {"app_name": "app", "uid": 0}).text == "-1"


def test_the_state_of_an_unknown_application(post):
    for endpoint, body in (
        ("get_selection_state", {}),
        ("get_selection_state", {"user_id": "ann"}),
        ("promote_model", {}),
        ("promote_model", {"model_name": "a"}),
    ):
        answer = post(endpoint, {"app_name": "nope", **body})
        assert (answer.status_code, answer.json()["cause"]) == (404, "No application with name 'nope' exists.")


@pytest.mark.usefixtures("hedge")
def test_the_best_model_is_promoted(post, journal):
    journal.append([given(number, a=0.4, b=0.5, s=0.25) for number in range(1, 30)])
    answer = post("promote_model", {"app_name": "app"})
    assert answer.status_code == 409
    assert "'s' with 0.25, was scored 29 times, and it takes 30" in answer.json()["cause"]
    journal.append([given(30)])
    assert posted(post, "promote_model", {"app_name": "app"}).json() == {"app_name": "app", "model_name": "s"}
    app = posted(post, "get_application", {"name": "app"}).json()
    assert (app["linked_models"], app["shadow_models"], app["selection_policy"]) == (["s"], [], "single")
    assert (app["policy_params"], state_of(post)["feedbacks"]) == ({}, 0)


@pytest.mark.usefixtures("hedge")
def test_a_version_without_feedback_is_not_promoted_for_that_of_another(post, journal):
    journal.append([given(number) for number in range(1, 50)])
    posted(post, "add_model", {**MODEL, "model_name": "a", "model_version": "2", "batch_size": -1})
    assert posted(post, "promote_model", {"app_name": "app"}).json()["model_name"] == "s"


@pytest.mark.usefixtures("hedge")
def test_a_named_model_is_promoted_without_feedback(post):
    assert post("promote_model", {"app_name": "app"}).json()["cause"].startswith("No feedback has scored a model")
    assert posted(post, "promote_model", {"app_name": "app", "model_name": "b"}).json()["model_name"] == "b"
    assert post("promote_model", {"app_name": "app", "model_name": "a"}).status_code == 404


@pytest.mark.usefixtures("hedge")
def test_a_policy_that_fails_is_told(post, monkeypatch, caplog):
    def fail(self, state):
        raise ZeroDivisionError("no weights")

    monkeypatch.setattr("clipper.selection.hedge.Hedge.weights", fail)
    answer = post("get_selection_state", {"app_name": "app"})
    assert (answer.status_code, answer.json()["error"]) == (500, "Internal error")
    assert "'hedge' of application 'app' can't tell its weights (ZeroDivisionError" in answer.json()["cause"]
    assert "no weights" in caplog.text


@pytest.mark.parametrize(
    ("state", "json_value"),
    [
        ({"a": (1, 2.5, None, True, "x")}, {"a": [1, 2.5, None, True, "x"]}),
        (b"\x00\xff", "AP8="),
        ({"A": b"x" * 1025}, {"A": {"bytes": 1025}}),
        ([float("inf"), float("nan")], ["inf", "nan"]),
        ({1: {2}}, {"1": "{2}"}),
    ],
)
def test_states_as_json(state, json_value):
    assert shown(state) == json_value


def test_learned_is_what_the_frontends_keep():
    """The journal's records survive being kept: what is told of them is what was learned."""
    teaching = Teaching("digits", make_policy("hedge", {}, "zero_one", 1.0, "doubles"), EPOCH, "doubles")
    state = teaching.learn(teaching.untaught(("a", "b")), Entry(1, given(1)).feedback)
    assert isinstance(state, Learned)
    assert teaching.kept(StoredState(EPOCH, 1, state.plain())) == state
