"""Queries to the one model that a policy drew: with a real executor on a virtual clock."""

from __future__ import annotations

import pytest

from clipper.drawn_query import DrawnQuery
from clipper.policy_query import PolicyQuery
from clipper.selection.policies import DRAW_ONE
from tests.clipper.test_policy_query import A, B, Panel, registry, told


def panel_of(policy="exp3", **fields):
    """Two models, of which ``says`` tells the one asked what to answer."""
    return Panel(registry(policy, links=("a", "b"), **fields))


def asked_of(panel):
    (name,) = [name for name, replica in panel.replicas.items() if replica.outstanding]
    return name


@pytest.mark.parametrize("policy", DRAW_ONE)
def test_each_policy_that_asks_one_has_it_asked_alone(policy):
    panel = panel_of(policy)
    assert isinstance(panel.predict(b"\0" * 8), DrawnQuery) == (policy != "single" or panel.app.selects)
    name = asked_of(panel)
    panel.says(name, b"7")
    assert told(panel) == [(b"7", None, 1.0)]


def test_the_answer_tells_which_model_it_is_of():
    panel = panel_of()
    panel.predict()
    name = asked_of(panel)
    panel.says(name, b"7")
    (prediction,) = panel.answers
    assert [each.name for each in prediction.models] == [name]
    assert prediction.missing == ()


def test_a_shadow_beside_it_is_asked_and_kept_too():
    panel = Panel(registry("exp3", links=("a", "b"), shadows=("c",)))
    assert isinstance(panel.predict(), PolicyQuery)


def test_feedback_is_about_the_model_asked():
    panel = panel_of()
    panel.predict()
    name = asked_of(panel)
    panel.says(name, b"7")
    (answer,) = panel.update(0, label=8)
    assert answer.losses == {f"{name}:1": 1.0}


def test_what_comes_after_the_deadline_is_known_to_the_feedback():
    panel = panel_of()
    panel.predict()
    panel.clock.advance(0.2)
    assert told(panel) == [(b"-1", "deadline", 1.0)]
    name = asked_of(panel)
    panel.says(name, b"7")
    (answer,) = panel.update(0, label=7)
    assert answer.losses == {f"{name}:1": 0.0}
    assert len(panel.answers) == 1


def test_feedback_before_the_deadline_of_a_query_without_answer_is_not_known():
    panel = panel_of()
    query = panel.predict()
    assert panel.decisions.find(query.id) is None


def test_a_model_that_fails_has_the_default_answered_and_lost():
    panel = panel_of()
    panel.predict()
    name = asked_of(panel)
    panel.says(name, b"it broke", ok=False)
    assert told(panel) == [(b"-1", "model_error", 1.0)]
    (answer,) = panel.update(0, label=7)
    assert answer.losses == {f"{name}:1": 1.0}


def test_a_policy_that_raises_costs_the_query_alone(monkeypatch):
    panel = panel_of()

    class Broken:
        learns, contextual = True, False

        def select(self, *given):
            raise ZeroDivisionError("no weights")

    panel.app.policy = Broken()
    panel.predict()
    (prediction,) = panel.answers
    assert prediction.reason == "model_error"
    assert "the selection policy exp3 failed in select: ZeroDivisionError: no weights" in prediction.explanation


def test_a_client_that_leaves_has_the_model_asked_no_more():
    panel = panel_of()
    for replica in panel.replicas.values():
        replica.draining = True  # so that the query waits in the queue
    query = panel.predict()
    query.abandon()
    assert panel.processor.open_queries() == 0
    panel.clock.advance(1.0)
    assert panel.answers == []


def test_an_output_that_the_cache_has_is_answered_at_once():
    panel = panel_of()
    for _ in range(50):  # both models are asked sooner or later
        panel.predict(b"same")
        for name, replica in panel.replicas.items():
            if replica.outstanding:
                panel.says(name, b"7")
    assert told(panel) == [(b"7", None, 1.0)] * 50
    assert {each.models[0] for each in panel.answers} == {A, B}
