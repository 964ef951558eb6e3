"""Whoever goes through the feedback, however it is cut up, loaded, written and let go: the states are the same."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipper.selection.learning import Teaching, rebuild
from clipper.selection.policies import make_policy
from clipper.selection.states import States, users_of
from clipper.store.journal import DecisionRecord, Entry, Feedback, StateKey, StoredState, order_to_forget
from clipper.types import ModelVersion

LINKED = ("a", "b")
EPOCH = 5


def teaching(policy="hedge", epoch=EPOCH, app="app"):
    return Teaching(app, make_policy(policy, {}, "zero_one", 1.0, "doubles"), epoch, "doubles")


def entry(position, user="", loss=1.0, linked=LINKED, epoch=EPOCH, forget=False, app="app"):
    asked = tuple((ModelVersion(name, "1"), 0.5) for name in linked)
    outputs = {f"{name}:1": b"1" for name in linked}
    decision = DecisionRecord(position, app, user, 0.0, epoch, linked, asked, (), outputs, b"1", 1.0, 0.5)
    losses = {f"{name}:1": loss if name == "a" else 1.0 - loss for name in linked}
    return Entry(position, Feedback(decision, 0.0, b"1", losses, 0.0, forget))


class Shelf:
    """A journal's states; ``read`` is what was asked for."""

    def __init__(self):
        self.kept: dict[StateKey, bytes] = {}
        self.checkpoint = 0
        self.asked: list[StateKey] = []

    def save(self, states):
        unsaved, checkpoint = states.unsaved()
        for key, stored in unsaved.items():
            known = self.get(key)
            if known is None or (stored.epoch, stored.position) > (known.epoch, known.position):
                self.kept[key] = msgspec.msgpack.encode(stored)
        self.checkpoint = max(self.checkpoint, checkpoint)
        states.saved(unsaved)

    def get(self, key):
        return msgspec.msgpack.decode(self.kept[key], type=StoredState) if key in self.kept else None

    def serve(self, states):
        while self.asked:
            key = self.asked.pop(0)
            states.loaded(key, self.get(key))


def begin(shelf, users_kept=1000, linked=LINKED):
    states = States(shelf.asked.append, users_kept)
    states.follow({"app": (teaching(), linked)}, EPOCH)
    kept = {key: stored for key in states.everybodys_keys() if (stored := shelf.get(key)) is not None}
    states.begin(kept, shelf.checkpoint)
    return states


def plain(state):
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state))


def state_of(states, shelf, user):
    found = []
    known = states.of_user("app", user)
    if known is None:
        states.wait_for("app", user, lambda: found.append(states.of_user("app", user)[0]))
        shelf.serve(states)
    return plain(found[0] if known is None else known[0])


USERS = ["", "ann", "bob", "cid", "dan"]


def feedbacks():
    """Users, losses, and one time in ten the order to forget the user."""
    odds = st.integers(0, 9)
    return st.lists(st.tuples(st.sampled_from(USERS), st.sampled_from([0.0, 0.5, 1.0]), odds), max_size=40)


def in_order(feedback):
    return [
        entry(number + 1, user, loss, forget=odd == 0 and bool(user))
        for number, (user, loss, odd) in enumerate(feedback)
    ]


@settings(max_examples=60, deadline=None)
@given(feedbacks(), st.randoms())
def test_frontends_that_write_let_go_and_restart_agree_with_one_that_does_not(feedback, rng):
    entries = in_order(feedback)
    plain_shelf, shelf = Shelf(), Shelf()
    reference = begin(plain_shelf)
    one, other = begin(shelf, users_kept=1), begin(shelf, users_kept=2)
    for each in entries:
        reference.apply(each)
        plain_shelf.serve(reference)
        for name in ("one", "other"):
            states = one if name == "one" else other
            states.apply(each)
            shelf.serve(states)
            if rng.random() < 0.3:
                shelf.save(states)
            if rng.random() < 0.1:  # killed: what was not written is gone through again
                fresh = begin(shelf, users_kept=1)
                for again in entries[: each.position]:
                    if again.position > shelf.checkpoint:
                        fresh.apply(again)
                        shelf.serve(fresh)
                one, other = (fresh, other) if name == "one" else (one, fresh)
    for states in (one, other):
        assert plain(states.of_everybody("app")) == plain(reference.of_everybody("app"))
        for user in USERS[1:]:
            assert state_of(states, shelf, user) == state_of(reference, plain_shelf, user)


@settings(max_examples=60, deadline=None)
@given(feedbacks(), st.integers(0, 40))
def test_what_management_rebuilds_is_what_the_frontends_have(feedback, saved_at):
    entries = in_order(feedback)
    shelf = Shelf()
    states = begin(shelf)
    for each in entries:
        states.apply(each)
        shelf.serve(states)
        if each.position == saved_at:
            shelf.save(states)
    since = [each for each in entries if each.position > shelf.checkpoint]
    for user in USERS:
        everybody, own = rebuild(
            teaching(), ("app", user), LINKED, shelf.get(StateKey("app", "")), shelf.get(StateKey("app", user)), since
        )
        assert plain(everybody.state) == plain(states.of_everybody("app"))
        if user:
            expected = state_of(states, shelf, user)
            assert plain((own or everybody).state) == expected


def test_a_users_feedback_that_comes_while_he_is_loaded_is_not_lost():
    shelf = Shelf()
    first = begin(shelf)
    first.apply(entry(1, "ann", 0.0))
    shelf.serve(first)
    shelf.save(first)
    states, reference = begin(shelf), begin(Shelf())
    told = []
    assert states.of_user("app", "ann") is None
    assert states.wait_for("app", "ann", lambda: told.append("loaded"))
    for number in (2, 3):
        states.apply(entry(number, "ann", 0.0))
    assert states.unsaved()[1] == 1, "nothing beyond what can be saved is checked off"
    assert told == []
    assert shelf.asked == [StateKey("app", "ann")], "he is loaded once"
    shelf.serve(states)
    assert told == ["loaded"]
    ref_shelf = Shelf()
    reference = begin(ref_shelf)
    for number in (1, 2, 3):
        reference.apply(entry(number, "ann", 0.0))
        reference.loaded(StateKey("app", "ann"), None)
    assert plain(states.of_user("app", "ann")[0]) == plain(reference.of_user("app", "ann")[0])


def test_twenty_thousand_users_take_bounded_room_and_none_is_lost():
    shelf = Shelf()
    states = begin(shelf, users_kept=200)
    for number in range(20_000):
        states.apply(entry(number + 1, f"user-{number}", float(number % 2)))
        shelf.serve(states)
        if number % 250 == 0:
            shelf.save(states)
            assert len(states) <= 450
    shelf.save(states)
    assert len(shelf.kept) == 20_001
    assert len(states) <= 200
    for number in random.Random(1).sample(range(20_000), 200):
        learned = teaching().policy.weights(state_of(states, shelf, f"user-{number}"))
        assert (learned["a"] > learned["b"]) is (number % 2 == 0)


def test_feedback_under_another_policy_teaches_nothing():
    states = begin(Shelf())
    states.apply(entry(1, epoch=EPOCH - 1))
    assert states.learned("app").feedbacks == 0
    assert not states.is_ahead(entry(2))
    assert states.is_ahead(entry(2, epoch=EPOCH + 1)), "it waits for the registry"


def test_a_policy_that_changes_starts_anew_and_says_so_to_the_store():
    shelf = Shelf()
    states = begin(shelf)
    states.apply(entry(1, "ann"))
    shelf.serve(states)
    shelf.save(states)
    states.follow({"app": (teaching("exp3", EPOCH + 1), LINKED)}, EPOCH + 1)
    assert len(states) == 0
    states.apply(entry(2, "ann", epoch=EPOCH + 1))
    shelf.serve(states)
    shelf.save(states)
    assert {stored.epoch for key in shelf.kept if (stored := shelf.get(key))} == {EPOCH + 1}
    assert states.learned("app").feedbacks == 1


def unlinking(position, *models):
    return Entry(position, order_to_forget("app", 0.0, models))


def test_a_model_that_is_unlinked_and_linked_again_starts_anew_for_everybody_and_every_user():
    shelf = Shelf()
    states = begin(shelf)
    for number in range(1, 21):
        states.apply(entry(number, "ann", loss=1.0))
        shelf.serve(states)
    before = teaching().policy.weights(state_of(states, shelf, "ann"))
    assert before["a"] < 0.1
    states.apply(unlinking(21, "a"))
    assert "a:1" not in states.learned("app").scores
    shelf.save(states)
    for each in (states, begin(shelf)):
        for state in (each.of_everybody("app"), state_of(each, shelf, "ann")):
            assert teaching().policy.weights(state)["a"] == pytest.approx(0.5)
    everybody, own = rebuild(
        teaching(), ("app", "ann"), LINKED, shelf.get(StateKey("app", "")), shelf.get(StateKey("app", "ann")), []
    )
    for learned in (everybody, own):
        assert teaching().policy.weights(teaching().for_links(learned, LINKED))["a"] == pytest.approx(0.5)
    states.apply(entry(22, "ann", loss=0.0))
    assert teaching().policy.weights(state_of(states, shelf, "ann"))["a"] > 0.5
    assert states.learned("app").scores["a:1"] == (1, 0.0)


def test_all_models_unlinked_leave_nothing():
    states = begin(Shelf())
    states.apply(entry(1))
    states.apply(unlinking(2, "a", "b"))
    assert states.learned("app").scores == {}
    assert teaching().policy.weights(states.of_everybody("app")) == {"a": 0.5, "b": 0.5}
    states.apply(entry(3))
    assert states.learned("app").feedbacks == 2


def test_links_that_come_and_go():
    states = begin(Shelf())
    for number in range(10):
        states.apply(entry(number + 1, loss=1.0))
    states.follow({"app": (teaching(), ("b", "c"))}, EPOCH)
    weights = teaching().policy.weights(states.of_everybody("app"))
    assert set(weights) == {"b", "c"}
    states.apply(entry(11, linked=("b", "c")))
    states.follow({}, EPOCH)
    states.apply(entry(12))
    assert states.position == 12


def test_too_many_users_at_once_are_not_waited_for():
    states = States(lambda key: None, most_loading=3)
    assert [states.wait_for("app", f"u{n}", lambda: None) for n in range(5)] == [True, True, True, False, False]


def test_no_entry_is_gone_through_twice():
    states = begin(Shelf())
    for _ in range(3):
        states.apply(entry(1))
    assert states.learned("app").feedbacks == 1


@pytest.mark.parametrize("policy", ["hedge", "exp3", "thompson", "exp4", "cascade", "ucb1"])
def test_what_was_kept_is_taken_up_as_it_was(policy):
    learner = teaching(policy)
    learned = learner.untaught(LINKED)
    for number in range(20):
        learned = learner.learn(learned, entry(number + 1, loss=number % 3 / 2).feedback)
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(StoredState(EPOCH, 20, learned.plain())), type=StoredState)
    again = learner.kept(stored)
    assert again.feedbacks == 20
    assert again.scores == learned.scores
    assert plain(again.state) == plain(learned.state)
    step = entry(21, loss=0.5).feedback
    assert plain(learner.learn(again, step).state) == plain(learner.learn(learned, step).state)


def test_whose_states_are_needed():
    assert users_of([entry(1), entry(2, "ann"), entry(3, "ann", app="other")]) == {
        StateKey("app", "ann"),
        StateKey("other", "ann"),
    }
