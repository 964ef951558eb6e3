"""The estimators against closed forms, and against what they are to estimate, over and over."""

import math

import numpy as np
import pytest

from clipper.replay.estimators import Averages, Terms, doubly_robust, effective_size, ips, mean, running, snips

ERRORS = np.array([0.3, 0.2, 0.1])
TRIALS = 400
QUERIES = 300


def terms(*rows):
    made = Terms()
    for weight, loss, predicted in rows:
        made.add(weight, weight * loss, predicted + weight * (loss - predicted))
    return made


def test_closed_forms():
    made = terms((2.0, 1.0, 0.5), (0.0, 0.0, 0.25), (4.0, 0.5, 0.5), (0.0, 0.0, 0.5))
    assert ips(made).value == pytest.approx((2.0 + 2.0) / 4)
    assert ips(made).error == pytest.approx(np.std([2.0, 0.0, 2.0, 0.0], ddof=1) / 2)
    assert snips(made).value == pytest.approx(4.0 / 6.0)
    residuals = [2 * (1 - 2 / 3), 0, 4 * (0.5 - 2 / 3), 0]
    assert snips(made).error == pytest.approx(math.sqrt(sum(each**2 for each in residuals) * 4 / 3) / 6)
    assert doubly_robust(made).value == pytest.approx(np.mean([0.5 + 2 * 0.5, 0.25, 0.5, 0.5]))
    assert effective_size(made.weights) == pytest.approx(36 / 20)


def test_all_weights_1_are_the_plain_mean():
    losses = [0.0, 1.0, 1.0, 0.25]
    made = terms(*((1.0, loss, 0.9) for loss in losses))
    for estimate in (ips(made), snips(made), doubly_robust(made)):
        assert estimate == pytest.approx(mean(np.array(losses)))
    assert effective_size(made.weights) == pytest.approx(4.0)


def test_the_interval_is_the_normal_one():
    estimate = mean(np.array([0.0, 1.0] * 50))
    assert estimate.high - estimate.value == pytest.approx(1.96 * estimate.error, rel=1e-4)
    assert estimate.low == pytest.approx(2 * estimate.value - estimate.high)


def test_one_entry_has_no_interval():
    made = terms((2.0, 0.5, 0.5))
    assert [math.isnan(each.error) for each in (ips(made), snips(made), doubly_robust(made))] == [True] * 3
    assert snips(made).value == pytest.approx(0.5)


def test_nothing_matched():
    made = terms((0.0, 0.0, 0.3), (0.0, 0.0, 0.5))
    assert ips(made).value == 0.0
    assert math.isnan(snips(made).value)
    assert doubly_robust(made).value == pytest.approx(0.4)
    assert effective_size(made.weights) == 0.0


def test_snips_stays_within_the_losses():
    made = terms((100.0, 1.0, 0.5), (1.0, 0.0, 0.5))
    assert ips(made).value > 1.0
    assert 0.0 <= snips(made).value <= 1.0


def test_running_means_end_at_the_mean():
    values = np.random.default_rng(1).random(1000)
    means, widths = running(values)
    assert means[-1] == pytest.approx(mean(values).value)
    assert means[-1] + widths[-1] == pytest.approx(mean(values).high)
    assert widths[99] == pytest.approx(1.96 * values[:100].std(ddof=1) / 10, rel=1e-4)
    assert math.isnan(widths[0])


def test_averages():
    averages = Averages()
    assert averages.of("a") == 0.5
    averages.add("a", 1.0)
    averages.add("a", 0.5)
    averages.add("b", 0.0)
    assert averages.of("a") == 0.75
    assert averages.of("b") == 0.0


def simulated(seed, policy, logged, model):
    """A log of ``QUERIES`` by a policy that draws the arm by ``logged``, for one that draws it by ``policy``."""
    rng = np.random.default_rng(seed)
    asked = rng.choice(3, QUERIES, p=logged)
    wanted = rng.choice(3, QUERIES, p=policy)
    losses = (rng.random(QUERIES) < ERRORS[asked]).astype(float)
    weights = (asked == wanted) / logged[wanted]
    return terms(*zip(weights, losses, model[wanted], strict=True))


@pytest.fixture(scope="module", params=["uniform", "skewed"])
def trials(request):
    """Estimates of many logs, and the truth."""
    logged = np.full(3, 1 / 3) if request.param == "uniform" else np.array([0.5, 0.3, 0.2])
    policy = np.array([0.2, 0.2, 0.6])
    made = [simulated(seed, policy, logged, ERRORS) for seed in range(TRIALS)]
    estimators = {"ips": ips, "snips": snips, "dr": doubly_robust}
    return {name: [each(one) for one in made] for name, each in estimators.items()}, float(policy @ ERRORS)


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_intervals_cover_the_truth_95_times_of_100(trials, name):
    estimates, truth = trials
    covered = np.mean([each.low <= truth <= each.high for each in estimates[name]])
    assert 0.92 <= covered <= 0.98  # 400 trials: three standard deviations are 0.033


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_estimates_are_right_on_average(trials, name):
    estimates, truth = trials
    values = np.array([each.value for each in estimates[name]])
    assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(TRIALS)


def test_a_good_model_makes_dr_the_surest(trials):
    estimates, _ = trials
    spread = {name: np.std([each.value for each in found]) for name, found in estimates.items()}
    assert spread["dr"] < spread["ips"]
    assert spread["dr"] < 1.05 * spread["snips"]


def test_dr_is_unbiased_with_a_bad_model():
    policy, logged = np.array([0.2, 0.2, 0.6]), np.array([0.5, 0.3, 0.2])
    values = [doubly_robust(simulated(each, policy, logged, 1 - ERRORS)).value for each in range(TRIALS)]
    assert abs(np.mean(values) - policy @ ERRORS) < 4 * np.std(values) / math.sqrt(TRIALS)
