"""The contract of journals, on each implementation."""

from __future__ import annotations

import subprocess

import pytest

from clipper.store.decisions import BUCKET
from clipper.store.journal import DECISION_SECONDS, DecisionRecord, Feedback, StateKey, StoredState, keep_decision
from clipper.types import ModelVersion
from tests.clipper.store.conftest import Clock

SVM = ModelVersion("svm", "1")


def decision(query_id, app="digits", user="", at=1_000_000_000.0):
    return DecisionRecord(
        query_id=query_id,
        app=app,
        user=user,
        at=at,
        epoch=3,
        linked=("svm", "forest"),
        asked=((SVM, 0.25),),
        shadows=(ModelVersion("mlp", "2"),),
        outputs={"svm:1": b'"seven"', "mlp:2": b"7"},
        answer=b"7",
        confidence=0.5,
        draw=0.125,
        data=b"\x00\xff",
    )


def kept(decisions):
    return [keep_decision(each) for each in decisions]


def feedback(query_id, **of_decision):
    return Feedback(decision(query_id, **of_decision), 2.0, b"7", {"svm:1": 1.0, "mlp:2": 0.0}, 0.0)


@pytest.fixture
def open_journal(backend):
    return backend.open_journal


def test_feedback_is_read_as_it_was_written_in_its_order(open_journal):
    journal = open_journal()
    written = [feedback(7, user="ünder 用户"), feedback(3), feedback(5, app="other")]
    assert journal.append(written) == [True, True, True]
    entries = journal.read(0, 100)
    assert [each.feedback for each in entries] == written
    assert [each.position for each in entries] == [1, 2, 3]
    assert journal.read(1, 1) == entries[1:2]
    assert [each.position for each in journal.export("digits", 0, 100)] == [1, 2]


def test_a_query_id_counts_once_whoever_tells(open_journal):
    one, other = open_journal(), open_journal()
    assert one.append([feedback(1), feedback(2), feedback(1)]) == [True, True, False]
    assert other.append([feedback(2), feedback(4)]) == [False, True]
    assert [each.feedback.decision.query_id for each in one.read(0, 10)] == [1, 2, 4]


def test_writing_of_others_is_noticed_and_none_is_lost(open_journal):
    one, other = open_journal(), open_journal()
    one.changed(), other.changed()
    assert not one.changed()
    other.append([feedback(1)])
    assert one.changed()
    assert not one.changed()
    for number in range(2, 200, 2):
        one.append([feedback(number)])
        other.append([feedback(number + 1)])
    assert one.read(0, 1000) == other.read(0, 1000)
    assert len(one.read(0, 1000)) == 199


def test_what_was_appended_survives_kill_9(backend, open_journal):
    program = (
        "import os, signal, sys; sys.path.insert(0, '.')\n"
        "from tests.clipper.store.test_journal import feedback\n"
        "journal.append([feedback(n) for n in range(100)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run(backend.journal_command(program), timeout=60, check=False)
    assert len(open_journal().read(0, 1000)) == 100


def test_decisions_are_recalled_by_any_frontend_for_an_hour(open_journal, clock: Clock):
    one, other = open_journal(), open_journal()
    one.remember(kept([decision(number) for number in range(10, 60, 5)]))
    other.remember(kept([decision(number) for number in range(1000, 1003)]))
    assert other.recall(25) == decision(25)
    assert one.recall(1002) == decision(1002)
    assert [one.recall(number) for number in (9, 11, 60, 1003)] == [None] * 4
    clock.advance(DECISION_SECONDS + 1)
    assert open_journal().recall(25) is None


def test_decisions_are_recalled_wherever_they_were_kept(backend, open_journal):
    one, other = open_journal(), open_journal()
    across = range(BUCKET - 3, 2 * BUCKET + 3, 2)
    one.remember(kept([decision(number) for number in across]))
    one.remember(kept([decision(number) for number in (BUCKET, BUCKET + 100, 3 * BUCKET)]))  # answered later
    pieces = backend.decisions()
    one.remember(kept([decision(number) for number in (BUCKET, BUCKET + 100, 3 * BUCKET)]))  # twice does no harm
    assert backend.decisions() == pieces
    for journal in (one, other):
        for number in (*across[:3], *across[-3:], BUCKET, BUCKET + 100, BUCKET + 1, 3 * BUCKET):
            assert journal.recall(number) == decision(number)
        assert [journal.recall(number) for number in (BUCKET - 4, BUCKET + 2, 2 * BUCKET)] == [None] * 3


def test_decisions_take_bounded_room(backend, open_journal, clock: Clock):
    backend.bound(DECISIONS_KEPT=50)
    journal = open_journal()
    for number in range(0, 200, 10):
        clock.advance(1.0)
        journal.remember(kept([decision(number + each, at=clock.now) for each in range(10)]))
    assert open_journal().recall(149) is None
    assert open_journal().recall(150) is not None
    clock.advance(DECISION_SECONDS + 1)
    journal.remember(kept([decision(1000, at=clock.now)]))
    assert backend.decisions() == 1


def test_a_state_gives_way_to_one_that_goes_further(open_journal):
    one, other = open_journal(), open_journal()
    mine, yours = StateKey("digits", "me"), StateKey("digits", "you")
    one.save({mine: StoredState(3, 10, {"w": [1.0]}), yours: StoredState(3, 9, {"b": b"\x00"})}, 10)
    other.save({mine: StoredState(3, 8, {"w": [0.0]})}, 8)
    assert other.load([mine, yours, StateKey("digits", "")]) == {
        mine: StoredState(3, 10, {"w": [1.0]}),
        yours: StoredState(3, 9, {"b": b"\x00"}),
    }
    assert one.checkpoint() == other.checkpoint() == 10
    other.save({mine: StoredState(4, 2, None)}, 12)
    assert one.load([mine]) == {mine: StoredState(4, 2, None)}


def test_a_user_is_forgotten(open_journal):
    journal = open_journal()
    key = StateKey("digits", "bob")
    journal.append([feedback(1, user="bob"), feedback(2, user="eve"), feedback(3, user="bob", app="other")])
    journal.save({key: StoredState(3, 1, {})}, 1)
    journal.forget_user("digits", "bob")
    entries = journal.read(0, 10)
    assert [(each.feedback.decision.user, each.feedback.forget) for each in entries] == [
        ("", False),
        ("eve", False),
        ("bob", False),
        ("bob", True),
    ]
    assert entries[0].feedback == feedback(1)
    assert journal.load([key]) == {}
    assert [each.feedback for each in journal.export("digits", 0, 10)] == [feedback(1), feedback(2, user="eve")]


def test_the_name_of_a_forgotten_user_is_nowhere(backend, open_journal, clock: Clock):
    journal, frontend = open_journal(), open_journal()
    name = "somebody-with-a-long-name"
    for number in range(50):
        frontend.append([feedback(2 * number, user=name)])
        asked = [decision(2 * number + 1, user=name, at=clock.now), decision(2 * number + 2, at=clock.now)]
        frontend.remember(kept(asked))
    frontend.save({StateKey("digits", name): StoredState(3, 50, {})}, 50)
    assert backend.traces(name.encode()) != []
    journal.forget_user("digits", name)
    assert frontend.recall(41).user == ""
    frontend.save({StateKey("digits", name): StoredState(3, 51, None)}, 51)
    frontend.save({}, 51)
    assert backend.traces(name.encode()) == []
    assert len(frontend.read(0, 100)) == 50


def test_orders_to_forget_are_not_kept_longer_than_they_are_needed(open_journal):
    journal = open_journal()
    journal.forget_user("digits", "bob")
    journal.save({StateKey("digits", "bob"): StoredState(3, 1, None)}, 1)
    assert len(journal.read(0, 10)) == 1, "a frontend that is behind must hear of it"
    journal.save({}, 1)
    assert journal.read(0, 10) == []
    assert journal.load([StateKey("digits", "bob")]) == {}


def test_old_feedback_goes_once_it_is_learned(backend, open_journal):
    backend.bound(FEEDBACK_KEPT=5)
    journal = open_journal()
    journal.append([feedback(number) for number in range(20)])
    journal.save({}, 8)
    assert journal.read(0, 100)[0].position == 9
    journal.save({}, 20)
    assert journal.read(0, 100)[0].position == 16


def test_an_application_leaves_nothing(open_journal):
    journal = open_journal()
    journal.append([feedback(1), feedback(2, app="other")])
    journal.save({StateKey("digits", ""): StoredState(3, 1, {})}, 2)
    journal.forget_app("digits")
    assert [each.feedback for each in journal.read(0, 10)] == [feedback(2, app="other")]
    assert journal.load([StateKey("digits", "")]) == {}
    assert journal.append([feedback(9)]) == [True]
    assert journal.read(0, 10)[-1].position == 3
