"""LightGBM: what is served is what the model says here."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.linear_model import LogisticRegression

from clipper_admin import ClipperException
from clipper_admin.deployers import lightgbm as deployer
from tests.frameworks.conftest import assert_same_answers

lightgbm = pytest.importorskip("lightgbm")
pytestmark = pytest.mark.heavy
QUIET = {"verbose": -1, "num_threads": 1}


@pytest.fixture(scope="module")
def digits():
    data, labels = load_digits(return_X_y=True)
    return data[:1000], labels[:1000], data[1000:1256]


@pytest.fixture(scope="module")
def classifier(digits):
    data, labels, _ = digits
    return lightgbm.LGBMClassifier(n_estimators=5, **QUIET).fit(data, labels)


def test_a_classifier_answers_its_labels(clipper, serve, digits, classifier):
    deployer.deploy_lightgbm_model(clipper, "labels", 1, "doubles", classifier)
    assert_same_answers(clipper, serve("labels"), digits[2], classifier.predict(digits[2]))


def test_a_classifier_answers_its_probabilities(clipper, serve, digits, classifier):
    deployer.deploy_lightgbm_model(clipper, "odds", 1, "floats", classifier, method="predict_proba")
    floats = digits[2].astype(np.float32)
    assert_same_answers(clipper, serve("odds", "floats"), floats, classifier.predict_proba(floats), tolerance=1e-6)


def test_two_labels_may_be_words(clipper, serve):
    data, labels = load_breast_cancer(return_X_y=True)
    model = lightgbm.LGBMClassifier(n_estimators=5, **QUIET).fit(data, np.array(["ill", "well"])[labels])
    deployer.deploy_lightgbm_model(clipper, "words", 1, "doubles", model)
    assert_same_answers(clipper, serve("words"), data[:256], model.predict(data[:256]))
    deployer.deploy_lightgbm_model(clipper, "two", 1, "doubles", model, method="predict_proba")
    assert_same_answers(clipper, serve("two"), data[:256], model.predict_proba(data[:256]), tolerance=1e-6)


def test_a_regressor_answers_numbers(clipper, serve):
    data, target = load_diabetes(return_X_y=True)
    model = lightgbm.LGBMRegressor(n_estimators=10, **QUIET).fit(data, target)
    deployer.deploy_lightgbm_model(clipper, "regressor", 1, "doubles", model)
    assert_same_answers(clipper, serve("regressor"), data[:256], model.predict(data[:256]), tolerance=1e-6)


def test_a_booster_answers_by_its_best_iteration(clipper, serve):
    data, target = load_diabetes(return_X_y=True)
    train = lightgbm.Dataset(data[:300], target[:300])
    stop = lightgbm.early_stopping(2, verbose=False)
    model = lightgbm.train(
        {**QUIET, "learning_rate": 0.5},
        train,
        100,
        valid_sets=[train.create_valid(data[300:], target[300:])],
        callbacks=[stop],
        keep_training_booster=True,
    )
    assert 0 < model.best_iteration < model.current_iteration()
    deployer.deploy_lightgbm_model(clipper, "booster", 1, "doubles", model)
    assert_same_answers(clipper, serve("booster"), data[:256], model.predict(data[:256]), tolerance=1e-6)


def test_an_objective_of_ones_own_answers_its_raw_scores(clipper, serve):
    data, labels = load_breast_cancer(return_X_y=True)

    def logistic(labels, scores):
        odds = 1.0 / (1.0 + np.exp(-scores))
        return odds - labels, odds * (1.0 - odds)

    model = lightgbm.LGBMClassifier(n_estimators=5, objective=logistic, **QUIET).fit(data, labels)
    expected = model.booster_.predict(data[:256])
    deployer.deploy_lightgbm_model(clipper, "own", 1, "doubles", model)
    assert_same_answers(clipper, serve("own"), data[:256], expected, tolerance=1e-6)


def test_a_function_may_be_given(clipper):
    iris = load_iris()
    model = lightgbm.LGBMClassifier(n_estimators=5, **QUIET).fit(iris.data, iris.target_names[iris.target])

    def shout(model, inputs):
        return [label.upper() for label in model.predict(inputs)]

    deployer.create_endpoint(clipper, "iris", "doubles", model, func=shout)
    assert_same_answers(clipper, "iris", iris.data, shout(model, iris.data))


def test_a_booster_is_given_to_a_function_as_it_is(clipper, serve, classifier, digits):
    def best(model, inputs):
        return model.predict(inputs, raw_score=True).argmax(axis=1)

    deployer.deploy_lightgbm_model(clipper, "best", 1, "doubles", classifier.booster_, func=best)
    assert_same_answers(clipper, serve("best"), digits[2], best(classifier.booster_, digits[2]))


def regressor():
    return lightgbm.LGBMRegressor(n_estimators=1, min_child_samples=1, **QUIET).fit([[0.0], [1.0]], [0.0, 1.0])


def untrained():
    return lightgbm.Booster(QUIET, train_set=lightgbm.Dataset(np.eye(4), [0, 1, 0, 1], params=QUIET))


@pytest.mark.parametrize(
    ("make", "method", "input_type", "says"),
    [
        (lambda: lightgbm.LGBMClassifier(), "predict", "doubles", "LGBMClassifier is not trained yet"),
        (untrained, "predict", "doubles", "Booster is not trained yet"),
        (LogisticRegression, "predict", "doubles", "of LightGBM is deployed here, not a sklearn.*LogisticRegression"),
        (regressor, "predict_proba", "doubles", "LGBMRegressor can't be served by its method 'predict_proba'"),
        (regressor, "fit", "doubles", "LGBMRegressor can't be served by its method 'fit'"),
        (regressor, "predict", "strings", "LightGBM takes numbers"),
    ],
)
def test_what_can_not_answer_is_refused_before_anything_starts(clipper, make, method, input_type, says):
    with pytest.raises(ClipperException, match=says):
        deployer.deploy_lightgbm_model(clipper, "none", 1, input_type, make(), method=method)
    assert "none:1" not in clipper.get_all_models()


def test_a_function_that_fails_on_the_sample_leaves_nothing_behind(clipper):
    with pytest.raises(ClipperException, match="Expected model to return 1 outputs, found 2 outputs"):
        deployer.deploy_lightgbm_model(
            clipper, "twice", 1, "doubles", regressor(), func=lambda model, inputs: [1, 2], sample=[1.0]
        )
    assert "twice:1" not in clipper.get_all_models()
    assert clipper.cm.get_num_replicas("twice", "1") == 0


def test_a_sample_of_another_width_is_refused(clipper):
    with pytest.raises(ClipperException, match="number of features in data"):
        deployer.deploy_lightgbm_model(clipper, "wide", 1, "doubles", regressor(), sample=[1.0, 2.0])
    assert "wide:1" not in clipper.get_all_models()
