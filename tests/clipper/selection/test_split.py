import random

from hypothesis import given
from hypothesis import strategies as st

from tests.clipper.selection.worlds import MODELS, NAMES, A, B, policy_of, query

USERS = [f"user-{number}" for number in range(4000)]


def chosen(policy, user="", draw=0.5, models=MODELS):
    ((model, propensity),) = policy.select(policy.init(NAMES), query(draw, user), models, random.Random(0))
    return model.name, propensity


def arms(policy, models=MODELS):
    return {user: chosen(policy, user, models=models)[0] for user in USERS}


def share(arm, name):
    return sum(each == name for each in arm.values()) / len(arm)


def test_users_are_split_by_the_shares_and_stay():
    policy = policy_of("split", weights={"a": 90, "b": 10})
    arm = arms(policy)
    assert arm == arms(policy)
    assert 0.08 < share(arm, "b") < 0.12
    assert share(arm, "c") == 0
    assert {chosen(policy, user) for user in USERS} == {("a", 0.9), ("b", 0.1)}


def test_without_a_user_the_draw_decides():
    policy = policy_of("split", weights={"a": 3, "c": 1})
    assert [chosen(policy, draw=draw) for draw in (0.0, 0.74, 0.76, 0.999)] == [("a", 0.75)] * 2 + [("c", 0.25)] * 2


def test_equal_shares_by_default():
    policy = policy_of("split")
    assert policy.weights(policy.init(NAMES)) == {name: 1 / 3 for name in NAMES}
    assert 0.3 < share(arms(policy), "c") < 0.37


def test_a_larger_canary_keeps_those_it_has():
    before = arms(policy_of("split", weights={"a": 95, "b": 5}))
    after = arms(policy_of("split", weights={"a": 80, "b": 20}))
    assert all(after[user] == "b" for user, arm in before.items() if arm == "b")


def test_only_the_users_of_a_model_that_goes_move():
    policy = policy_of("split")
    before, after = arms(policy), arms(policy, MODELS[:2])
    assert all(after[user] == arm for user, arm in before.items() if arm != "c")
    assert 0.4 < share({user: after[user] for user, arm in before.items() if arm == "c"}, "a") < 0.6


def test_the_salt_deals_users_anew():
    one, other = arms(policy_of("split", salt="x")), arms(policy_of("split", salt="y"))
    assert 0.25 < sum(one[user] == other[user] for user in USERS) / len(USERS) < 0.42


def test_if_none_that_has_a_share_can_be_asked():
    policy = policy_of("split", weights={"z": 1})
    for user in ("", "ann"):
        assert policy.select(policy.init(()), query(user=user), (A, B), random.Random(0)) == ()


@given(st.text())
def test_users_of_any_name(user):
    assert chosen(policy_of("split"), user)[0] in NAMES


def test_users_whose_names_run_together():
    assert len({chosen(policy_of("split", salt="a" * n), "a" * (20 - n))[0] for n in range(20)}) > 1
