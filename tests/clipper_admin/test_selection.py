"""What the calls about policies and feedback send, and what they refuse to send."""

import numpy as np
import pandas as pd
import pytest

from clipper_admin.exceptions import ClipperException


@pytest.fixture
def sent(connection, server):
    """What was asked last, of an application ``a`` of doubles."""
    connection.register_application("a", "doubles", "0", 1000)
    return lambda: server.registry.requests[-1]


def test_only_what_is_given_is_sent(connection, sent):
    connection.set_selection_policy("a", "hedge")
    assert sent() == ("/admin/set_selection_policy", {"app_name": "a", "policy": "hedge"})
    connection.set_selection_policy("a", "exp3", {"eta": np.float32(0.5)}, 0.0, "absolute", 2)
    settings = {"params": {"eta": 0.5}, "confidence_threshold": 0.0, "loss": "absolute", "loss_scale": 2}
    assert sent() == ("/admin/set_selection_policy", {"app_name": "a", "policy": "exp3", **settings})
    connection.get_selection_state("a")
    assert sent() == ("/admin/get_selection_state", {"app_name": "a"})
    connection.get_selection_state("a", 0)
    assert sent() == ("/admin/get_selection_state", {"app_name": "a", "user_id": 0})


def test_registering_sends_what_differs_from_the_defaults(connection, server):
    connection.register_application("b", "doubles", "0", 1000, "mean", loss="absolute", loss_scale=50.0)
    body = server.registry.requests[-1][1]
    assert (body["selection_policy"], body["loss"], body["loss_scale"]) == ("mean", "absolute", 50.0)
    assert not {"policy_params", "confidence_threshold"} & body.keys()


def test_shadows(connection, sent, messages):
    connection.register_model("m", 1, "doubles")
    connection.link_model_to_app("a", "m", shadow=True)
    assert sent() == ("/admin/add_model_links", {"app_name": "a", "model_names": ["m"], "shadow": True})
    assert messages()[-1].endswith("Model m is now a shadow of application a")


def test_promotion(connection, sent, messages):
    assert connection.promote_model("a") == "best"
    assert sent() == ("/admin/promote_model", {"app_name": "a"})
    assert connection.promote_model("a", "m") == "m"
    assert messages()[-1].endswith("Model m now answers alone for application a")


def test_a_user_is_forgotten(connection, sent, messages):
    connection.delete_user_state("ann")
    assert sent() == ("/admin/delete_user_state", {"user_id": "ann"})
    connection.delete_user_state(0, "a")
    assert sent() == ("/admin/delete_user_state", {"user_id": 0, "app_name": "a"})
    assert messages()[-1].endswith("User '0' is forgotten wherever the name stood")
    with pytest.raises(ClipperException, match="user_id is None, which names nobody"):
        connection.delete_user_state(None)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({"label": 7, "query_id": 0}, {"label": 7, "query_id": 0}),
        ({"label": np.int64(7), "query_id": np.int64(3)}, {"label": 7, "query_id": 3}),
        ({"label": np.float32(0.5), "query_id": 3}, {"label": 0.5, "query_id": 3}),
        ({"label": np.True_, "query_id": 3, "user_id": 0}, {"label": True, "query_id": 3, "user_id": 0}),
        ({"label": "good", "input": [1, 2.5]}, {"label": "good", "input": [1, 2.5]}),
        ({"label": [1, 2], "input": np.array([1.5])}, {"label": [1, 2], "input": [1.5]}),
        ({"label": "", "input": pd.Series([1.5, 2])}, {"label": "", "input": [1.5, 2.0]}),
        ({"loss": 0, "query_id": 3}, {"loss": 0, "query_id": 3}),
        (
            {"loss": {"m": np.float64(0.5)}, "query_id": 3, "user_id": "ann"},
            {"loss": {"m": 0.5}, "query_id": 3, "user_id": "ann"},
        ),
    ],
)
def test_feedback(connection, sent, given, body):
    assert connection.send_feedback("a", **given)["accepted"] is True
    assert sent() == ("/a/update", body)


def test_feedback_of_raw_inputs(connection, server):
    for name, input_type, value, sent in (
        ("p", "bytes", b"\x00\xff", "AP8="),
        ("q", "bytes", np.array([0, 255], np.uint8), "AP8="),
        ("r", "integers", np.array([0, 255], np.uint8), [0, 255]),
        ("s", "strings", "a fine film", "a fine film"),
    ):
        connection.register_application(name, input_type, "0", 1000)
        connection.send_feedback(name, 1, input=value)
        assert server.registry.requests[-1] == (f"/{name}/update", {"label": 1, "input": sent})


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"query_id": 1}, "without a label and without a loss says nothing: give label"),
        ({"query_id": 1, "label": 1, "loss": 0.5}, "a label or a loss, not both: .* leave loss out"),
        ({"label": 1}, "Feedback is about a query: give query_id, which is in the answer of predict"),
        ({"label": 1, "query_id": 1, "input": [1.0]}, "by query_id or by input, not by both: leave input out"),
        ({"label": float("nan"), "query_id": 1}, "NaN"),
        ({"label": 1, "input": np.array([np.nan])}, "name a query whose input has some by its query_id"),
    ],
)
def test_nonsense_is_not_sent(connection, sent, given, cause):
    before = sent()
    with pytest.raises(ClipperException, match=cause):
        connection.send_feedback("a", **given)
    assert sent() == before


def test_a_refused_feedback_is_told(connection, server, sent):
    server.registry.failures["/a/update"] = (
        404,
        {"error": "Not found", "cause": "query 9 is not known: send the input"},
    )
    with pytest.raises(ClipperException, match=r"404 and message: .*send the input"):
        connection.send_feedback("a", 1, 9)
