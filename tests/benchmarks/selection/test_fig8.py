import numpy as np
import pytest

from benchmarks.figures import tables
from benchmarks.selection import fig8, trials
from benchmarks.selection import recorded as records
from benchmarks.selection.fig8 import Found
from benchmarks.selection.stream import Rule, failing, play, stream
from benchmarks.selection.trials import PARTS, Errors, Trial

QUERIES = 2_000


@pytest.fixture(scope="module")
def mnist():
    return records.mnist()


def error(mnist, rule, fails=()):
    given = stream(mnist, QUERIES, 0, fails)
    return play(rule.make(), given, 0, rule.links(mnist)).wrong.mean()


def test_the_failing_model_answers_at_random_for_a_quarter(mnist):
    best = mnist.best()
    given, sound = stream(mnist, QUERIES, 0, (best,)), stream(mnist, QUERIES, 0)
    window = failing(QUERIES)
    assert np.array_equal(given.images, sound.images)
    changed = (given.outputs != sound.outputs).mean(axis=0)
    assert changed[best] == pytest.approx(0.9 / 4, abs=0.02)
    assert np.delete(changed, best).max() == 0
    assert given.wrong()[window, best].mean() == pytest.approx(0.9, abs=0.05)


def test_all_images_come_as_often(mnist):
    images = stream(mnist, 2 * len(mnist.labels), 0).images
    assert set(np.bincount(images)) == {2}


def test_the_recorded_outputs_stay_as_they_are(mnist):
    before = mnist.outputs.copy()
    stream(mnist, QUERIES, 0, (0, 1, 2))
    assert np.array_equal(mnist.outputs, before)


def test_a_run_is_the_same_each_time(mnist):
    assert error(mnist, Rule("exp3"), (4,)) == error(mnist, Rule("exp3"), (4,))


@pytest.mark.parametrize("rule", fig8.RULES, ids=str)
def test_every_policy_is_better_than_the_worst_model(mnist, rule):
    errors = stream(mnist, QUERIES, 0, (4,)).wrong().mean(axis=0)
    assert error(mnist, rule, (4,)) < errors.max()


def test_hedge_follows_the_best_model(mnist):
    errors = stream(mnist, QUERIES, 0).wrong().mean(axis=0)
    assert error(mnist, Rule("hedge")) < errors.min() + 0.02


def test_models_asked(mnist):
    given = stream(mnist, 400, 0)
    asked = {
        rule.policy: play(rule.make(), given, 0, rule.links(mnist)).asked
        for rule in (Rule("exp3"), Rule("hedge"), Rule("cascade", worst_first=True))
    }
    assert asked["exp3"] == 1
    assert asked["hedge"] == 5
    assert 1 < asked["cascade"] < 5


def test_hindsight_is_no_worse_than_any_model(mnist):
    trial = Trial("mnist", records.DATA, Rule("hedge"), 0, QUERIES, (4,))
    ours, theirs = trials.beside_hindsight(trial)
    assert theirs <= stream(mnist, QUERIES, 0, (4,)).wrong().mean(axis=0).min()
    assert ours < theirs + 0.03


def test_each_model_fails_and_each_two(mnist):
    found = fig8.failures(mnist)
    assert len(found) == 5 + 10
    assert (0,) in found
    assert (3, 4) in found


def test_errors_until_a_share_of_the_queries():
    parts = np.zeros((2, PARTS))
    parts[1, : PARTS // 4] = 0.4
    mean, deviation = Errors(parts, 1.0).until(0.25)
    assert (mean, deviation) == (pytest.approx(0.2), pytest.approx(0.2))
    assert Errors(parts, 1.0).until(1.0)[0] == pytest.approx(0.05)


def test_the_table_judges_targets_on_the_paper_s_data_only(mnist):
    one = Errors(np.full((2, PARTS), 0.13), 5.0)
    names = [str(rule) for rule in fig8.RULES]
    found = Found(dict.fromkeys(names, one), dict.fromkeys(names, one), [one] * 5, 0.12)
    assert "<=" not in fig8.error_table(mnist, found, fig8.QUERIES).markdown()
    cifar = records.Recorded("cifar", "CIFAR", mnist.models, mnist.softmax, mnist.outputs, mnist.labels)
    shown = fig8.error_table(cifar, found, fig8.QUERIES)
    assert "<= 0.132: yes" in shown.markdown()
    assert {len(row) for row in shown.rows} == {len(shown.head)}


def test_the_table_of_changes_names_the_queries(mnist):
    parts = np.linspace(0, 0.19, PARTS)[None, :]
    shown = fig8.change_table(mnist, Found({"hedge": Errors(parts, 5.0)}, {}, [], 0.1), fig8.QUERIES)
    assert {len(row) for row in shown.rows} == {len(shown.head)}
    assert shown.head[1] == "5,000-6,000 (failed)"
    assert list(shown.rows[0][1::2]) == ["0.050", "0.060", "0.100", "0.110", "0.190"]


def test_it_is_shown(mnist, tmp_path):
    one = Errors(np.full((2, PARTS), 0.13), 5.0)
    found = Found({str(rule): one for rule in fig8.RULES}, {}, [one] * 5, 0.12)
    result = tables.Result("fig8-mnist", "T", "R", (), fig8._draw(found, fig8.QUICK))
    tables.publish(result, tmp_path, tables.about(quick=True))
    assert (tmp_path / "fig8-mnist.svg").stat().st_size > 1_000
