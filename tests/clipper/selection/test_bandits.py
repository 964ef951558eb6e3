import math
import random

import pytest

from clipper.selection.policy import Choice, Decision
from clipper.selection.thompson import Thompson
from tests.clipper.selection.worlds import MODELS, NAMES, A, B, C, policy_of, query, serve


def taught(policy, state, *losses, propensity=1.0):
    """The state after a model was asked, for each (model, loss)."""
    for model, loss in losses:
        state = policy.observe(
            state, query(), Decision((Choice(model, propensity),), {model: b"1"}, b"1", 1.0), {model: loss}
        )
    return state


def odds_of(policy, state):
    """How often each model is chosen, over a thousand draws."""
    times = dict.fromkeys(NAMES, 0)
    for draw in range(1000):
        ((model, _),) = policy.select(state, query((draw + 0.5) / 1000), MODELS, random.Random(0))
        times[model.name] += 1
    return {name: count / 1000 for name, count in times.items() if count}


def test_exp3_is_the_papers():
    policy = policy_of("exp3", eta=0.05, share=1e-9)
    state = policy.observe(policy.init(NAMES), query(), Decision((Choice(A, 0.25),), {A: b"1"}, b"1", 1.0), {A: 1.0})
    kept = math.exp(-0.05 / 0.25)
    assert state == pytest.approx({"a": kept / (kept + 2), "b": 1 / (kept + 2), "c": 1 / (kept + 2)}, abs=1e-8)
    assert odds_of(policy, state) == pytest.approx(state, abs=1e-3)


def test_exp3_goes_by_the_propensity_of_its_decision():
    policy = policy_of("exp3")
    rare, often = (taught(policy, policy.init(NAMES), (A, 1.0), propensity=p)["a"] for p in (0.01, 1.0))
    assert rare < 0.01 < often


def test_exp3_never_loses_a_model_for_good():
    policy = policy_of("exp3")
    state = taught(policy, policy.init(NAMES), *[(A, 1.0)] * 100, propensity=0.001)
    assert state["a"] >= 1e-5 / 3
    error, _ = serve(policy, lambda number: (0.0, 1.0, 1.0), 20000, state=state)
    assert error < 0.4


def test_exp3_ix():
    policy = policy_of("exp3_ix", scale=1)
    eta = math.sqrt(math.log(3) / 3)
    state = taught(policy, policy.init(NAMES), (A, 1.0), propensity=1 / 3)
    assert state == {"seen": 1, "losses": {"a": pytest.approx(1 / (1 / 3 + eta / 2)), "b": 0.0, "c": 0.0}}
    assert policy.weights(state)["a"] == pytest.approx(odds_of(policy, state)["a"], abs=1e-3)


def test_epsilon_greedy():
    policy = policy_of("epsilon_greedy", epsilon=0.3)
    state = policy.init(NAMES)
    assert odds_of(policy, state) == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, abs=1e-3)
    state = taught(policy, state, (A, 1.0), (B, 0.0), (C, 1.0))
    assert odds_of(policy, state) == pytest.approx({"a": 0.1, "b": 0.8, "c": 0.1}, abs=2e-3)
    decaying = policy_of("epsilon_greedy", epsilon=0.3, decay=1.0)
    assert odds_of(decaying, taught(decaying, state, *[(B, 0.0)] * 6)) == pytest.approx(
        {"a": 0.01, "b": 0.98, "c": 0.01}, abs=2e-3
    )


def test_ucb1_tries_all_then_takes_the_highest_bound():
    policy = policy_of("ucb1", exploration=1)
    state = taught(policy, policy.init(NAMES), (A, 0.0))
    assert odds_of(policy, state) == pytest.approx({"b": 0.5, "c": 0.5})
    state = taught(policy, state, (B, 0.0), (C, 1.0))
    assert odds_of(policy, state) == pytest.approx({"a": 0.5, "b": 0.5})
    state = taught(policy, state, *[(A, 0.0)] * 50, *[(B, 0.0)] * 50)
    assert odds_of(policy, state) == {"c": 1.0}  # sqrt(2 ln 103 / 1) is more than 1


def test_thompson_asks_as_often_as_a_model_is_the_best():
    policy = Thompson()
    rng = random.Random(1)
    for observed in ([(20, 5), (20, 8), (20, 15)], [(3, 1), (40, 18), (0, 0)], [(200, 100), (200, 110), (10, 9)]):
        state = {name: [float(seen), float(lost)] for name, (seen, lost) in zip(NAMES, observed, strict=True)}
        wins = dict.fromkeys(NAMES, 0)
        for _ in range(20000):
            draws = {name: rng.betavariate(1 + seen - lost, 1 + lost) for name, (seen, lost) in state.items()}
            wins[max(draws, key=draws.get)] += 1 / 20000
        assert policy.weights(state) == pytest.approx(wins, abs=0.04)
        chosen = odds_of(policy, state)
        assert {name: chosen.get(name, 0.0) for name in NAMES} == pytest.approx(policy.weights(state), abs=2e-3)


def test_thompson_of_two_is_exact():
    policy = Thompson()
    two, three = {"a": [20.0, 5.0], "b": [20.0, 8.0]}, {"a": [20.0, 5.0], "b": [20.0, 8.0], "c": [1e6, 1e6]}
    assert policy.weights(three)["a"] == pytest.approx(policy.weights(two)["a"], abs=1e-3)


@pytest.mark.parametrize("name", ["thompson", "ucb1", "epsilon_greedy"])
def test_discounted_counts_follow_a_model_that_fails(name):
    def failing(number):
        return (0.1, 0.5, 0.5) if number < 2000 else (0.9, 0.5, 0.5)

    forgetful, _ = serve(policy_of(name, discount=0.99), failing, 4000)
    stubborn, _ = serve(policy_of(name, discount=1.0), failing, 4000)
    assert forgetful < stubborn - 0.02


@pytest.mark.parametrize(
    ("name", "most"),
    [("epsilon_greedy", 0.22), ("ucb1", 0.27), ("thompson", 0.2), ("exp3", 0.25), ("exp3_ix", 0.25)],
)
def test_the_best_of_models_that_stay_as_they_are(name, most):
    errors = [serve(policy_of(name), lambda number: (0.5, 0.15, 0.5), 3000, seed=seed)[0] for seed in range(5)]
    assert sum(errors) / 5 < most
