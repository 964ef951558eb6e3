"""``clipper policy | promote | feedback | forget | export``, and what of register and link goes with them."""

import json

import pytest

from tests.clipper_admin.test_feedback_file import LINE


@pytest.fixture
def digits(clipper, connection):
    """An application with two models and a shadow."""
    clipper("register", "digits", "--input-type", "doubles", "--default-output", "0", "--policy", "hedge")
    for name in ("svm", "forest", "mlp"):
        connection.register_model(name, 1, "doubles")
    clipper("link", "digits", "svm")
    clipper("link", "digits", "forest")
    clipper("link", "digits", "mlp", "--shadow")


def test_registering_with_a_policy(answered):
    options = ["--policy", "mean", "--params", '{"combine": "median"}', "--confidence-threshold", "0.6"]
    options += ["--loss", "absolute", "--loss-scale", "50"]
    answer = answered("register", "a", "--input-type", "doubles", "--default-output", "0", *options)
    assert (answer["selection_policy"], answer["policy_params"]) == ("mean", {"combine": "median"})
    assert (answer["confidence_threshold"], answer["loss"], answer["loss_scale"]) == (0.6, "absolute", 50.0)


@pytest.mark.usefixtures("digits")
def test_shadows_are_listed(clipper):
    assert "svm, forest, mlp (shadow)" in clipper("apps").stdout


@pytest.mark.usefixtures("digits")
def test_the_policy_is_shown(answered, clipper, server):
    answer = answered("policy", "digits")
    assert (answer["policy"], answer["shadow_models"], answer["loss"]) == ("hedge", ["mlp"], "zero_one")
    headline, header, *rows = clipper("policy", "digits", "--user", "ann").stdout.splitlines()
    assert headline == "digits: hedge, 4 feedbacks of user ann, loss zero_one, confidence threshold 0"
    assert header.split() == ["MODEL", "ROLE", "WEIGHT", "SCORED", "MEAN", "LOSS"]
    assert [row.split() for row in rows] == [
        ["svm:1", "linked", "0.5000", "3", "0.5000"],
        ["svm:2", "linked", "0.5000", "1", "0.0000"],
        ["forest", "linked", "0.5000", "0"],
        ["mlp", "shadow", "0"],
    ]
    assert "/admin/set_selection_policy" not in dict(server.registry.requests)
    assert "There is no application 'x'" in clipper("policy", "x", exit_code=1).stderr


@pytest.mark.usefixtures("digits")
def test_the_policy_is_set(answered, clipper, server):
    def sent():
        return [body for path, body in server.registry.requests if path == "/admin/set_selection_policy"][-1]

    settings = ["--confidence-threshold", "0.6", "--loss", "absolute", "--loss-scale", "2"]
    answer = answered("policy", "digits", "exp3", "--params", '{"eta": 0.5}', *settings)
    assert (answer["policy"], answer["params"], answer["loss_scale"]) == ("exp3", {"eta": 0.5}, 2.0)
    assert 'exp3 {"eta": 0.5}, 4 feedbacks, loss absolute, scale 2,' in clipper("policy", "digits").stdout
    clipper("policy", "digits", "--confidence-threshold", "0.8")
    kept = {"app_name": "digits", "policy": "exp3", "params": {"eta": 0.5}}
    assert sent() == {**kept, "confidence_threshold": 0.8}
    clipper("policy", "digits", "--params", '{"eta": 0.1}')
    assert sent() == {**kept, "params": {"eta": 0.1}}
    clipper("policy", "digits", "ucb1")
    assert sent() == {"app_name": "digits", "policy": "ucb1"}


@pytest.mark.parametrize(("params", "error"), [("{", "is not JSON"), ("[1]", "not a JSON object")])
@pytest.mark.usefixtures("digits")
def test_parameters_that_are_none(clipper, params, error):
    for command in (["policy", "digits"], ["register", "b", "--input-type", "d", "--default-output", "0"]):
        stderr = clipper(*command, "--params", params, exit_code=1).stderr
        assert error in stderr
        assert "write it like '{\"eta\": 0.5}'" in stderr


@pytest.mark.usefixtures("digits")
def test_promotion(answered, clipper):
    assert answered("promote", "digits") == {"app_name": "digits", "model_name": "best"}
    assert clipper("promote", "digits", "svm").stdout == "svm answers alone for digits\n"


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        (["--label", "7", "--query-id", "17"], {"label": 7, "query_id": 17}),
        (["--label", "a b", "--query-id", "17", "--user", "ann"], {"label": "a b", "query_id": 17, "user_id": "ann"}),
        (["--label", '"7"', "--query-id", "17"], {"label": "7", "query_id": 17}),
        (["--label", "NaN", "--query-id", "17"], {"label": "NaN", "query_id": 17}),
        (["--label", "7", "--input", "[1.5]"], {"label": 7, "input": [1.5]}),
        (["--loss", "0.25", "--query-id", "17"], {"loss": 0.25, "query_id": 17}),
        (["--loss", '{"svm": 1}', "--query-id", "17"], {"loss": {"svm": 1}, "query_id": 17}),
    ],
)
def test_feedback(clipper, server, typed, sent):
    assert clipper("feedback", "digits", *typed).stdout == "Accepted; losses: svm:1 0\n"
    assert server.registry.requests[-1] == ("/digits/update", sent)


@pytest.mark.usefixtures("digits")
def test_what_feedback_is_answered_with(answered, clipper, server):
    typed = ["feedback", "digits", "--label", "7", "--query-id", "17"]
    assert answered(*typed) == {"accepted": True, "query_id": 17, "losses": {"svm:1": 0.0}}
    server.registry.failures["/digits/update"] = (200, {"accepted": False, "duplicate": True})
    assert clipper(*typed).stdout == "Not counted: this query has had feedback\n"


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize(
    ("typed", "error"),
    [
        (["--query-id", "1"], "without a label and without a loss"),
        (["--label", "7"], "give query_id"),
        (["--loss", "bad", "--query-id", "1"], "--loss is 'bad': write a number from 0 to 1"),
        (["--loss", "true", "--query-id", "1"], "--loss is 'true'"),
        (["--label", "7", "--input", "[1."], "INPUT is not JSON"),
    ],
)
def test_feedback_that_says_nothing(clipper, typed, error):
    assert error in clipper("feedback", "digits", *typed, exit_code=1).stderr


@pytest.mark.usefixtures("digits")
def test_a_user_is_forgotten(answered, clipper, server):
    assert clipper("forget", "ann").stderr.endswith("User 'ann' is forgotten wherever the name stood\n")
    assert answered("forget", "ann", "--app", "digits") == {"user_id": "ann", "app_name": "digits"}
    assert server.registry.requests[-1] == ("/admin/delete_user_state", {"user_id": "ann", "app_name": "digits"})


def test_export(answered, clipper, server, tmp_path):
    server.registry.feedback = [LINE]
    result = clipper("export", "a", "a.jsonl")
    assert (result.stdout, result.stderr) == ("", "1 feedbacks of a are in a.jsonl\n")
    assert json.loads((tmp_path / "a.jsonl").read_text()) == LINE
    assert answered("export", "a", "b.jsonl") == {"app_name": "a", "path": "b.jsonl", "feedbacks": 1}
