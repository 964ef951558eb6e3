"""Feedback finds its decision, is scored, written once, and learned: with a real journal, on a virtual clock."""

from __future__ import annotations

import pytest

from clipper.decisions import records_of
from clipper.errors import BadRequest, InternalError, NotFound, StoreError, Unavailable
from clipper.feedback import FeedbackAnswer, check_user
from clipper.rpc.wire import Outcome
from clipper.store.journal import DecisionRecord, keep_decision, open_decision
from clipper.types import ModelVersion
from tests.clipper.house import House, VirtualDesk
from tests.clipper.house import registry as single
from tests.clipper.test_policy_query import Panel, registry


def asked(policy="hedge", outputs=(b"1", b"2", b"2"), users=("",), **fields):
    """A panel that has answered one query of each user."""
    panel = Panel(registry(policy, **fields))
    for number, user in enumerate(users):
        panel.predict(b"%d" % number, user=user)
        panel.desk.settle()
        panel.executor.flush(panel.clock.now)
        for name, output in zip("abc", outputs, strict=True):
            if panel.replicas[name].outstanding:
                panel.says(name, output)
                panel.executor.flush(panel.clock.now)
    return panel


def refused(told, error, cause):
    (answer,) = told
    assert isinstance(answer, error)
    assert cause in answer.cause


def weights(panel, user=""):
    states = panel.desk.states
    state = states.of_user("app", user)[0] if user else states.of_everybody("app")
    return panel.app.policy.weights(state)


def test_a_label_scores_every_model_and_moves_the_weights():
    panel = asked()
    assert panel.update(0, label=2) == [FeedbackAnswer(True, 0, {"a:1": 1.0, "b:1": 0.0, "c:1": 0.0})]
    learned = weights(panel)
    assert learned["a"] < learned["b"] == learned["c"]


def test_a_repetition_counts_once():
    panel = asked()
    panel.update(0, label=2)
    before = weights(panel)
    assert panel.update(0, label=1) == [FeedbackAnswer(False, 0, {})]
    assert weights(panel) == before
    assert panel.desk.states.learned("app").feedbacks == 1


def test_out_of_order_and_late_feedback_is_that_of_its_own_query():
    panel = Panel(registry("exp3"))
    propensities = []
    for number in range(3):
        panel.predict(b"%d" % number)
        for name, replica in panel.replicas.items():
            if replica.outstanding:
                panel.says(name, b"1")
        propensities.append(panel.decisions.find(number).asked[0][1])
    for number in (2, 0, 1):
        panel.update(number, label=2)
    written = {
        each.feedback.decision.query_id: each.feedback.decision.asked[0][1] for each in panel.desk.journal.read(0, 10)
    }
    assert written == dict(enumerate(propensities)), "propensities of decision time"


def test_an_unknown_query_is_told_the_way_out():
    panel = asked()
    (error,) = panel.update(77, label=1)
    assert isinstance(error, NotFound)
    assert "knows no query 77 (they are kept for an hour, and at most a million of them)" in error.cause
    assert "send the query's input" in error.cause


def test_of_the_policy_single_it_is_told_that_its_first_queries_are_not_kept():
    """With several frontends the id may be a second old, and be another's."""
    house = House(single())
    why = "(of the policy single they are kept by all frontends from the first accepted feedback on, for an hour)"
    for _ in range(2):  # the first makes this frontend keep its own
        (error,) = house.update(77, label=1)
        assert (
            error.cause == f"application app knows no query 77 {why}: send the query's input in place of its query_id"
        )


def test_another_applications_query_is_unknown():
    panel = asked()
    record = panel.decisions.find(0)
    other = DecisionRecord(**{name: getattr(record, name) for name in record.__struct_fields__} | {"app": "other"})
    panel.desk.journal.remember([keep_decision(other.__class__(**{**_fields(other), "query_id": 50}))])
    (error,) = panel.update(50, label=1)
    assert isinstance(error, NotFound)


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_a_decision_that_has_left_memory_is_found_in_the_journal():
    panel = asked()
    panel.decisions.take()
    taken, _ = panel.decisions.take()
    panel.desk.journal.remember(records_of(taken))
    panel.decisions.keep(records_of(taken))
    assert panel.decisions.find(0) == open_decision(records_of(taken)[0])
    panel.decisions._kept.clear()
    (answer,) = panel.update(0, label=2)
    assert answer.losses == {"a:1": 1.0, "b:1": 0.0, "c:1": 0.0}


def test_by_input_the_cache_is_asked_and_no_query_is_counted():
    panel = asked()
    (answer,) = panel.update(data=b"0", label=1)
    assert answer.accepted
    assert answer.query_id == 1
    assert answer.losses == {"a:1": 0.0, "b:1": 1.0, "c:1": 1.0}
    assert panel.metrics.snapshot().apps["app"].ok == 1


def test_by_input_the_models_are_asked_if_the_cache_knows_nothing():
    panel = Panel(registry("hedge"))
    answers = []
    from clipper.feedback import FeedbackRequest

    panel.updater.update(panel.app, FeedbackRequest(5, None, None, b"new", ""), answers.append)
    panel.executor.flush(panel.clock.now)
    for name in "abc":
        panel.says(name, b"5")
    panel.desk.settle()
    assert answers[0].losses["a:1"] == 0.0


def test_by_input_without_an_answer_nothing_is_held_against_the_models():
    panel = Panel(registry("hedge"))
    answers = []
    from clipper.feedback import FeedbackRequest

    panel.updater.update(panel.app, FeedbackRequest(5, None, None, b"new", ""), answers.append)
    panel.clock.advance(0.2)
    panel.desk.settle()
    assert isinstance(answers[0], Unavailable)
    assert panel.desk.states.learned("app").feedbacks == 0


def test_by_input_there_must_be_a_model():
    refused(Panel(registry("hedge", links=())).update(data=b"x", label=1), Unavailable, "no model is linked")


def test_a_user_has_a_state_of_his_own_that_begins_with_everybodys():
    panel = asked(users=("", "ann", "bob"))
    for _ in range(1):
        panel.update(0, label=2)
        panel.update(1, label=1)
    ann, everybody = weights(panel, "ann"), weights(panel)
    assert ann["a"] > everybody["a"]
    panel.predict(b"9", user="cid")
    panel.desk.settle()
    assert weights(panel, "cid") == everybody, "no feedback of his own yet"


def test_feedback_may_name_the_user_that_the_query_did_not():
    panel = asked()
    panel.update(0, label=1, user="ann")
    panel.desk.settle()
    assert weights(panel, "ann")["a"] > 1 / 3


def test_feedback_for_another_user_than_the_querys_is_refused():
    panel = asked(users=("ann",))
    told = panel.update(0, label=1, user="bob")
    refused(told, BadRequest, "was asked for another user than 'bob'")


@pytest.mark.parametrize("loss", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_loss_out_of_range_is_refused(loss):
    refused(asked().update(0, loss=loss), BadRequest, "a number from 0 (right) to 1")


def test_a_loss_given_for_the_answer_is_that_of_those_who_gave_it():
    (answer,) = asked().update(0, loss=0.25)
    assert answer.losses == {"b:1": 0.25, "c:1": 0.25}


def test_losses_may_be_given_by_model():
    (answer,) = asked().update(0, loss={"a": 0.5, "b:1": 0.75})
    assert answer.losses == {"a:1": 0.5, "b:1": 0.75}
    told = asked().update(0, loss={"z": 0.5})
    refused(told, BadRequest, "loss names 'z', which was not asked: query 0 asked a:1, b:1, c:1")


def test_a_label_of_the_wrong_type_is_refused():
    refused(asked(loss="squared").update(0, label="seven"), BadRequest, "The label is")
    refused(asked().update(0, label=None), BadRequest, "The label is null")


def test_numbers_are_scored_by_the_applications_loss():
    (answer,) = asked(loss="absolute", loss_scale=4.0).update(0, label=3.0)
    assert answer.losses == {"a:1": 0.5, "b:1": 0.25, "c:1": 0.25}


def test_a_full_disk_is_told_and_nothing_is_learned():
    panel = asked()
    panel.desk.fails = StoreError("the disk of the store is full")
    (error,) = panel.update(0, label=2)
    assert isinstance(error, Unavailable)
    assert "disk" in error.cause
    assert panel.desk.states.learned("app").feedbacks == 0
    panel.desk.fails = None
    (answer,) = panel.update(0, label=2)
    assert answer.accepted, "what was not written has not been given"


def test_an_application_of_one_model_keeps_its_answers_from_the_first_feedback_on():
    house = House(single())
    replica, _ = house.join()
    house.predict(b"a")
    house.answer(replica, Outcome(True, b"5"))
    assert house.update(0, label=5) == [FeedbackAnswer(True, 0, {"m:1": 0.0})]
    assert house.app.selects
    house.predict(b"b")
    house.answer(replica, Outcome(True, b"6"))
    assert house.answers[1].models is None
    assert house.update(1, label=5) == [FeedbackAnswer(True, 1, {"m:1": 1.0})]
    assert house.desk.states.learned("app").scores == {"m:1": (2, 1.0)}


def test_another_frontend_keeps_them_once_it_hears_of_feedback():
    desk = VirtualDesk()
    one = House(single(), desk)
    replica, _ = one.join()
    one.predict(b"a")
    one.answer(replica, Outcome(True, b"5"))
    one.update(0, label=5)
    other = VirtualDesk()
    other.journal = desk.journal
    house = House(single(), other)
    assert not house.app.selects
    other.learn()
    house.processor.note_feedback()
    assert house.app.selects


@pytest.mark.parametrize("user", ["ünïcödé", "用户", "🦜", "a b\n", "'; DROP TABLE states; --", "\u202eevil"])
def test_users_of_any_script(user):
    panel = asked(users=(user,))
    (answer,) = panel.update(0, label=1)
    assert answer.accepted
    assert panel.desk.journal.read(0, 1)[0].feedback.decision.user == user
    assert weights(panel, user)["a"] > 1 / 3


def test_a_user_of_10_kb_is_refused():
    assert check_user(17) == "17"
    assert check_user(None) == ""
    assert len(check_user("x" * 512)) == 512
    with pytest.raises(BadRequest, match="user_id has 10240 characters: at most 512 fit"):
        check_user("x" * 10_240)


def test_a_model_that_was_unlinked_meanwhile_leaves_no_trace():
    panel = asked()
    panel.processor.apply(registry("hedge", links=("b", "c")))
    (answer,) = panel.update(0, label=1)
    assert answer.losses["a:1"] == 0.0
    assert set(weights(panel)) == {"b", "c"}


def test_a_new_model_starts_at_the_average():
    panel = Panel(registry("hedge", links=("a", "b")))
    for number in range(20):
        panel.predict(b"%d" % number)
        panel.says("a", b"1")
        panel.says("b", b"2")
        panel.update(number, label=1)
    panel.processor.apply(registry("hedge"))
    learned = weights(panel)
    assert learned["b"] < learned["c"] < learned["a"]
    assert ModelVersion("c", "1") in panel.app.models


def test_feedback_that_is_quicker_than_some_of_the_models_waits_for_them():
    panel = Panel(registry("hedge", shadows=("c",), links=("a", "b")))
    for number in range(30):  # now a decides alone
        panel.predict(b"%d" % number)
        for name, output in zip("abc", (b"1", b"2", b"1"), strict=True):
            panel.says(name, output)
        panel.update(number, label=1)
    panel.predict(b"new")
    panel.says("a", b"1")
    assert len(panel.answers) == 31
    told = panel.update(30, label=1)
    panel.says("b", b"1")
    panel.desk.settle()
    assert told == []
    panel.says("c", b"2")
    panel.desk.settle()
    assert told == [FeedbackAnswer(True, 30, {"a:1": 0.0, "b:1": 0.0, "c:1": 1.0})]


def test_at_the_deadline_feedback_waits_no_longer():
    panel = Panel(registry(shadows=("c",), links=("a", "b")))
    panel.predict()
    panel.says("a", b"1")
    panel.clock.advance(0.101)
    told = panel.update(0, label=1)
    assert told == [FeedbackAnswer(True, 0, {"a:1": 0.0, "b:1": 1.0})]


def test_decisions_are_kept_once_all_is_known():
    panel = Panel(registry())
    panel.predict()
    panel.says("a", b"1")
    panel.says("b", b"1")
    assert len(panel.answers) == 1
    assert panel.decisions.take() == ([], True)
    assert panel.decisions.take() == ([], True), "c may still answer"
    panel.says("c", b"1")
    taken, more = panel.decisions.take()
    assert [query.id for query, _ in taken] == [0]
    assert not more


def test_the_loss_of_an_output_too_long_to_be_kept_is_not_known():
    panel = asked(outputs=(b'"' + b"x" * 5000 + b'"', b"1", b"1"))
    assert panel.update(0, label=1) == [FeedbackAnswer(True, 0, {"b:1": 0.0, "c:1": 0.0})]
    assert set(panel.desk.journal.read(0, 1)[0].feedback.decision.outputs) == {"b:1", "c:1"}


def test_a_loss_of_no_model_is_refused():
    refused(asked().update(0, loss={}), BadRequest, "loss names no model")


def test_late_feedback_does_not_bring_a_forgotten_user_back():
    panel = asked(users=("ann",))
    panel.desk.journal.forget_user("app", "ann")
    panel.desk.learn()
    panel.decisions.forget("app", "ann")
    (answer,) = panel.update(0, label=1)
    assert answer.accepted
    assert [each.feedback.decision.user for each in panel.desk.journal.read(1, 10)] == [""]


def test_what_a_policy_learned_is_there_again_when_its_module_is():
    panel = asked()
    for _ in range(1):
        panel.update(0, label=2)
    learned = panel.app.policy.weights(panel.desk.states.of_everybody("app"))
    away = registry("nowhere.at_all:Policy")
    panel.processor.apply(away)
    panel.predict(b"new")
    assert panel.answers[-1].reason == "model_error"
    panel.processor.apply(registry("hedge"))
    assert panel.app.policy.weights(panel.desk.states.of_everybody("app")) == learned


def test_a_bug_in_the_middle_of_feedback_is_answered_and_not_waited_for(monkeypatch, caplog):
    panel = Panel(registry())
    monkeypatch.setattr(panel.desk, "accept", lambda feedback, then: 1 / 0)
    panel.predict()
    for name in "abc":
        panel.says(name, b"7")
    (error,) = panel.update(0, label=7)
    assert isinstance(error, InternalError)
    assert "its log holds the traceback" in str(error)
    assert "ZeroDivisionError" in caplog.text
