import itertools

import numpy as np
import pytest

from benchmarks.selection.hindsight import least_loss


def by_trying_all(losses, switches):
    steps, arms = losses.shape
    return min(
        sum(losses[step, arm] for step, arm in enumerate(sequence))
        for sequence in itertools.product(range(arms), repeat=steps)
        if sum(one != other for one, other in itertools.pairwise(sequence)) <= switches
    )


@pytest.mark.parametrize("switches", [0, 1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_least_of_all_sequences(seed, switches):
    losses = np.random.default_rng(seed).random((6, 3))
    assert least_loss(losses, switches) == pytest.approx(by_trying_all(losses, switches))


def test_a_switch_costs_nothing_itself():
    losses = np.array([[0, 1], [0, 1], [1, 0], [1, 0], [0, 1], [0, 1]])
    assert [least_loss(losses, switches) for switches in range(3)] == [2, 2, 0]


def test_wrong_or_right_counts_as_one_or_nothing():
    assert least_loss(np.array([[True, False], [True, True]]), 0) == 1


def test_one_query_is_answered_by_its_best_model():
    assert least_loss(np.array([[0.5, 0.25]]), 2) == 0.25
