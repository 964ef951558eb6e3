import math
import random
import struct

import numpy as np
import pytest

from clipper.selection.features import vector
from clipper.selection.linucb import LinUcb
from clipper.selection.policy import Choice, Decision
from tests.clipper.selection.worlds import MODELS, NAMES, A, B, kept, query, serve


def doubles(*values):
    return struct.pack(f"<{len(values)}d", *values)


def observed(policy, state, model, data, loss):
    decision = Decision((Choice(model, 1.0),), {model: b"1"}, b"1", 1.0)
    return policy.observe(state, query(data=data), decision, {model: loss})


def test_the_inverse_is_that_of_the_matrix():
    policy, rng = LinUcb("doubles", dimensions=4), random.Random(0)
    state, matrix, rewards = policy.init(("a",)), np.eye(5), np.zeros(5)
    for _ in range(200):
        data, loss = doubles(*(rng.gauss(0, 1) for _ in range(4))), rng.random()
        x = vector(data, "doubles", 4)
        matrix += np.outer(x, x)
        rewards += (1 - loss) * x
        state = kept(observed(policy, state, A, data, loss))
    assert np.allclose(np.frombuffer(state["a"]["inverse"]).reshape(5, 5), np.linalg.inv(matrix))
    assert np.allclose(np.frombuffer(state["a"]["rewards"]), rewards)


def test_the_input_decides():
    def context_of(number, rng):
        return query(rng.random(), data=doubles(*((1.0, 0.0) if number % 2 else (0.0, 1.0))))

    def errors(number):
        return (0.0, 1.0, 0.5) if number % 2 else (1.0, 0.0, 0.5)

    error, _ = serve(LinUcb("doubles"), errors, 2000, context_of=context_of)
    assert error < 0.05  # the best model for all inputs: 0.5


def test_untried_models_are_drawn_alike():
    policy = LinUcb("doubles")
    state = policy.init(NAMES)
    found = {policy.select(state, query(draw / 10), MODELS, random.Random(0))[0] for draw in range(10)}
    assert found == {Choice(model, 1 / 3) for model in MODELS}


def test_a_prior_keeps_the_estimate_and_ten_observations():
    policy = LinUcb("doubles", dimensions=2)
    state = policy.init(("a", "b"))
    for _ in range(100):
        state = observed(policy, state, A, doubles(1.0, 0.0), 0.0)
    state = observed(policy, state, B, doubles(1.0, 0.0), 0.0)
    prior = kept(policy.prior(state))
    assert prior["b"] == state["b"]
    assert prior["a"]["seen"] == 10
    matrix = np.linalg.inv(np.frombuffer(prior["a"]["inverse"]).reshape(3, 3))
    assert np.allclose(matrix, np.eye(3) + 10 * np.outer([1, 0, 1], [1, 0, 1]))


def test_features_of_a_short_input_are_its_numbers():
    assert vector(doubles(0.5, -0.25), "doubles", 4).tolist() == [0.5, -0.25, 0.0, 0.0, 1.0]
    assert vector(doubles(), "doubles", 2).tolist() == [0.0, 0.0, 1.0]
    assert vector(doubles(3.0, 4.0), "doubles", 2).tolist() == pytest.approx([0.6, 0.8, 1.0])
    assert vector(struct.pack("<2f", 0.5, 0.25), "floats", 2).tolist() == [0.5, 0.25, 1.0]
    assert vector(struct.pack("<2i", -3, 4), "integers", 2).tolist() == pytest.approx([-0.6, 0.8, 1.0])
    assert vector(bytes([0, 255]), "bytes", 2).tolist() == [0.0, 1.0, 1.0]


def test_features_of_a_long_input_are_hashed():
    inputs = [[random.Random(seed).gauss(0, 0.01) for _ in range(784)] for seed in range(2)]
    one, other = (vector(doubles(*values), "doubles", 32) for values in inputs)
    assert one.shape == (33,)
    assert not np.allclose(one, other)
    assert np.array_equal(one, vector(doubles(*inputs[0]), "doubles", 32))
    assert np.count_nonzero(one) >= 31  # every feature has its share of the places
    # The sum over the features keeps lengths, about (Weinberger et al. 2009).
    assert math.hypot(*one[:-1]) == pytest.approx(math.hypot(*inputs[0]), rel=0.5)


def test_features_are_finite_whatever_the_input():
    for values in ([math.nan, math.inf, -math.inf, 0.5], [1e308] * 100, [1e308, -1e308]):
        features = vector(doubles(*values), "doubles", 8)
        assert np.isfinite(features).all()
        assert math.hypot(*features[:-1]) <= 1.0 + 1e-9
