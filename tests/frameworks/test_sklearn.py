"""scikit-learn: what is served is what the model says here."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clipper_admin import ClipperException
from clipper_admin.deployers import sklearn as deployer
from tests.frameworks.conftest import assert_same_answers


@pytest.fixture(scope="module")
def digits():
    data, labels = load_digits(return_X_y=True)
    return data[:1000], labels[:1000], data[1000:1256]


def test_a_pipeline_answers_its_labels(clipper, serve, digits):
    data, labels, new = digits
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(data, labels)
    deployer.deploy_sklearn_model(clipper, "pipeline", 1, "doubles", model)
    assert_same_answers(clipper, serve("pipeline"), new, model.predict(new))


@pytest.mark.heavy
def test_a_forest_answers_its_probabilities(clipper, serve, digits):
    data, labels, new = digits
    model = RandomForestClassifier(10, random_state=1).fit(data, labels)
    deployer.deploy_sklearn_model(clipper, "forest", 1, "doubles", model, method="predict_proba")
    assert_same_answers(clipper, serve("forest"), new, model.predict_proba(new), tolerance=1e-6)


@pytest.mark.heavy
def test_a_regression_answers_numbers(clipper, serve, digits):
    data, labels, new = digits
    model = Ridge().fit(data, labels)
    deployer.deploy_sklearn_model(clipper, "ridge", 1, "floats", model)
    floats = new.astype(np.float32)
    assert_same_answers(clipper, serve("ridge", "floats"), floats, model.predict(floats), tolerance=1e-6)


@pytest.mark.heavy
def test_labels_may_be_words_and_a_function_may_be_given(clipper, serve):
    iris = load_iris()
    model = LogisticRegression(max_iter=500).fit(iris.data, iris.target_names[iris.target])

    def shout(model, inputs):
        return [label.upper() for label in model.predict(inputs)]

    deployer.create_endpoint(clipper, "iris", "doubles", model, func=shout)
    expected = [label.upper() for label in model.predict(iris.data)]
    assert_same_answers(clipper, "iris", iris.data, expected)


@pytest.mark.heavy
def test_texts_are_inputs_too(clipper, serve):
    texts = ["good fine great", "bad awful poor", "great good", "poor bad"] * 5
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, ["+", "-", "+", "-"] * 5)
    deployer.deploy_sklearn_model(clipper, "mood", 1, "strings", model, sample="good")
    assert_same_answers(clipper, serve("mood", "strings"), texts[:4], model.predict(texts[:4]))


def test_column_names_are_warned_about(clipper, caplog):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"height": [1.0, 2.0, 3.0], "weight": [3.0, 2.0, 1.0]})
    model = LogisticRegression().fit(table, [0, 1, 1])
    deployer.deploy_sklearn_model(clipper, "table", 1, "doubles", model)
    assert "send them in this order: height, weight" in caplog.text


@pytest.mark.parametrize(
    ("model", "method", "says"),
    [
        (LogisticRegression(), "predict", "is not fitted yet"),
        (Ridge().fit([[1.0]], [1.0]), "predict_proba", "has no method 'predict_proba'"),
        (len, "predict", "A scikit-learn estimator is deployed here, not a builtins.builtin_function_or_method"),
    ],
)
def test_what_can_not_answer_is_refused_before_anything_starts(clipper, model, method, says):
    with pytest.raises(ClipperException, match=says):
        deployer.deploy_sklearn_model(clipper, "none", 1, "doubles", model, method=method)
    assert "none:1" not in clipper.get_all_models()


def test_a_function_that_fails_on_the_sample_leaves_nothing_behind(clipper):
    model = Ridge().fit([[1.0]], [1.0])
    with pytest.raises(ClipperException, match="Expected model to return 1 outputs, found 2 outputs"):
        deployer.deploy_sklearn_model(
            clipper, "twice", 1, "doubles", model, func=lambda model, inputs: [1, 2], sample=[1.0]
        )
    assert "twice:1" not in clipper.get_all_models()
    assert clipper.cm.get_num_replicas("twice", "1") == 0
