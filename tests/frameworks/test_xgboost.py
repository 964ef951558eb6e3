"""XGBoost: what is served is what the model says here."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.linear_model import LogisticRegression

from clipper_admin import ClipperException
from clipper_admin.deployers import xgboost as deployer
from tests.frameworks.conftest import assert_same_answers

xgboost = pytest.importorskip("xgboost")
pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def digits():
    data, labels = load_digits(return_X_y=True)
    return data[:1000], labels[:1000], data[1000:1256]


@pytest.fixture(scope="module")
def classifier(digits):
    data, labels, _ = digits
    return xgboost.XGBClassifier(n_estimators=10, max_depth=3, n_jobs=1).fit(data, labels)


def test_a_classifier_answers_its_labels(clipper, serve, digits, classifier):
    deployer.deploy_xgboost_model(clipper, "labels", 1, "doubles", classifier)
    assert_same_answers(clipper, serve("labels"), digits[2], classifier.predict(digits[2]))


def test_a_classifier_answers_its_probabilities(clipper, serve, digits, classifier):
    deployer.deploy_xgboost_model(clipper, "odds", 1, "floats", classifier, method="predict_proba")
    floats = digits[2].astype(np.float32)
    assert_same_answers(clipper, serve("odds", "floats"), floats, classifier.predict_proba(floats), tolerance=1e-6)


def test_a_regressor_answers_numbers_and_knows_what_is_missing(clipper, serve):
    data, target = load_diabetes(return_X_y=True)
    data[::3, 2] = -7.0
    model = xgboost.XGBRegressor(n_estimators=10, missing=-7.0, n_jobs=1).fit(data, target)
    deployer.deploy_xgboost_model(clipper, "regressor", 1, "doubles", model)
    assert_same_answers(clipper, serve("regressor"), data[:256], model.predict(data[:256]), tolerance=1e-6)


def test_a_booster_of_named_columns_gets_its_matrix(clipper, serve, caplog):
    data, target = load_diabetes(return_X_y=True)
    names = [f"f{place}" for place in range(data.shape[1])]
    matrix = xgboost.DMatrix(data, target, feature_names=names)
    model = xgboost.train({"max_depth": 3, "nthread": 1}, matrix, 10)
    deployer.deploy_xgboost_model(clipper, "booster", 1, "doubles", model)
    assert "in this order: f0, f1, f2" in caplog.text
    assert_same_answers(clipper, serve("booster"), data[:256], model.predict(matrix)[:256], tolerance=1e-6)
    short = clipper.predict("booster", data[0, :9].tolist())
    assert (short["default"], short["default_reason"]) == (True, "model_error")


def test_a_function_may_be_given(clipper):
    iris = load_iris()
    model = xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(iris.data, iris.target)
    names = iris.target_names.tolist()

    def name(model, inputs):
        return [names[label] for label in model.predict(inputs)]

    deployer.create_endpoint(clipper, "iris", "doubles", model, func=name)
    assert_same_answers(clipper, "iris", iris.data, [names[label] for label in model.predict(iris.data)])


def test_a_booster_is_given_to_a_function_as_it_is(clipper, serve, digits):
    data, labels, new = digits
    model = xgboost.train({"nthread": 1}, xgboost.DMatrix(data, labels), 5)

    def rounded(model, inputs):
        import xgboost

        return [round(float(each)) for each in model.predict(xgboost.DMatrix(inputs))]

    deployer.deploy_xgboost_model(clipper, "rounded", 1, "doubles", model, func=rounded)
    assert_same_answers(clipper, serve("rounded"), new, rounded(model, new))


def linear():
    return LogisticRegression().fit([[0.0], [1.0]], [0, 1])


def regressor():
    return xgboost.XGBRegressor(n_estimators=1, n_jobs=1).fit([[0.0], [1.0]], [0.0, 1.0])


@pytest.mark.parametrize(
    ("make", "method", "input_type", "says"),
    [
        (lambda: xgboost.XGBClassifier(), "predict", "doubles", "XGBClassifier is not trained yet"),
        (lambda: xgboost.Booster(), "predict", "doubles", "Booster is not trained yet"),
        (linear, "predict", "doubles", "of XGBoost is deployed here, not a sklearn.*LogisticRegression"),
        (regressor, "predict_proba", "doubles", "XGBRegressor has no method 'predict_proba'"),
        (lambda: regressor().get_booster(), "predict_proba", "doubles", "A Booster answers by predict alone"),
        (regressor, "predict", "strings", "XGBoost takes numbers"),
    ],
)
def test_what_can_not_answer_is_refused_before_anything_starts(clipper, make, method, input_type, says):
    with pytest.raises(ClipperException, match=says):
        deployer.deploy_xgboost_model(clipper, "none", 1, input_type, make(), method=method)
    assert "none:1" not in clipper.get_all_models()


def test_a_function_that_fails_on_the_sample_leaves_nothing_behind(clipper):
    with pytest.raises(ClipperException, match="Expected model to return 1 outputs, found 2 outputs"):
        deployer.deploy_xgboost_model(
            clipper, "twice", 1, "doubles", regressor(), func=lambda model, inputs: [1, 2], sample=[1.0]
        )
    assert "twice:1" not in clipper.get_all_models()
    assert clipper.cm.get_num_replicas("twice", "1") == 0


def test_a_sample_of_another_width_is_refused(clipper):
    with pytest.raises(ClipperException, match=r"[Ff]eature shape mismatch"):
        deployer.deploy_xgboost_model(clipper, "wide", 1, "doubles", regressor(), sample=[1.0, 2.0])
    assert "wide:1" not in clipper.get_all_models()
