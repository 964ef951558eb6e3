"""scikit-learn: what is served is what the model says here."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clipper_admin import ClipperException
from clipper_admin.deployers import sklearn as deployer
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers, outputs


@pytest.fixture(scope="module")
def digits():
    data, labels = load_digits(return_X_y=True)
    return data[:1000], labels[:1000], data[1000:1256]


@pytest.mark.heavy
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


def test_each_query_gets_the_probabilities_of_all_targets(clipper, serve):
    targets = np.c_[[1, 0] * 4, [1, 1, 1, 0] * 2]
    model = make_pipeline(TfidfVectorizer(), MultiOutputClassifier(LogisticRegression()))
    model.fit(["good", "bad"] * 4, targets)
    deployer.deploy_sklearn_model(clipper, "targets", 1, "strings", model, method="predict_proba", sample="good")
    served = outputs(clipper, serve("targets", "strings"), ["good", "bad"])
    expected = model.predict_proba(["good", "bad"])
    for place in range(2):
        np.testing.assert_allclose(served[place], [target[place] for target in expected], rtol=1e-9)


@pytest.mark.heavy
def test_labels_that_look_like_json_stay_texts(clipper, serve, digits):
    data, labels, new = digits
    names = np.array(["1e5", "null", "01", "true", '"a"', "[1]", "8", "é", "", " "])
    model = LogisticRegression(max_iter=200).fit(data, names[labels])
    deployer.deploy_sklearn_model(clipper, "looks", 1, "doubles", model)
    assert outputs(clipper, serve("looks"), new[:50].tolist()) == model.predict(new[:50]).tolist()


SCRIPT = """
import json, sys
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import sklearn as deployer
from steps_beside_the_script import Halve

class Double(TransformerMixin, BaseEstimator):
    def fit(self, rows, labels=None):
        self.fitted_ = True
        return self

    def transform(self, rows):
        return rows * 2

data = np.arange(40.0).reshape(20, 2)
steps = Double(), Halve(), FunctionTransformer(lambda rows: rows + 1), LogisticRegression()
model = make_pipeline(*steps).fit(data, [0, 1] * 10)
conn = ClipperConnection(LocalContainerManager("c", home=sys.argv[1], deploy_timeout=120))
conn.connect()
deployer.create_endpoint(conn, "ours", "doubles", model, method="predict_proba")
served = [each["output"] for each in conn.predict_batch("ours", data.tolist())]
print(json.dumps(bool(np.allclose(served, model.predict_proba(data), rtol=1e-9))))
"""
BESIDE = """
from sklearn.base import BaseEstimator, TransformerMixin

class Halve(TransformerMixin, BaseEstimator):
    def fit(self, rows, labels=None):
        self.fitted_ = True
        return self

    def transform(self, rows):
        return rows / 2
"""


@pytest.mark.heavy
def test_steps_of_the_session_and_of_modules_beside_it_go_along(clipper, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "steps_beside_the_script.py").write_text(BESIDE)
    command = [sys.executable, tmp_path / "script.py", clipper.cm.home]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "true"), done.stderr
    assert "Carrying local modules: steps_beside_the_script" in done.stderr


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"sampel": [0.0] * 64}, TypeError, "a deploy takes no argument 'sampel': did you mean 'sample'"),
        ({"per_item": "no"}, ClipperException, "per_item must be True or False, not 'no'"),
        ({"gpus": 0}, ClipperException, r"gpus must be a list of devices, such as \['0'\], not 0"),
        ({"sample": "one"}, ClipperException, "The sample is no input of type doubles: 'one'"),
        ({"sample": [[0.0] * 64]}, ClipperException, "The sample is no input of type doubles"),
        ({"python_version": 3.12}, ClipperException, "python_version must be text, such as '3.12', not 3.12"),
        ({"pkgs_to_install": [1]}, ClipperException, "1 in pkgs_to_install is not a requirement"),
    ],
)
def test_options_are_checked_before_anything_starts(clipper, digits, options, error, says):
    model = Ridge().fit(digits[0], digits[1])
    with pytest.raises(error, match=says):
        deployer.create_endpoint(clipper, "none", "doubles", model, **options)
    assert_nothing_left(clipper, "none")


@pytest.mark.heavy
def test_a_sample_of_the_wrong_width_is_what_is_told_of(clipper, digits):
    model = Ridge().fit(digits[0], digits[1])
    with pytest.raises(ClipperException, match=r"Can't answer the sample(.|\n)*Correct the model, or the sample"):
        deployer.create_endpoint(clipper, "none", "doubles", model, sample=[0.0] * 63)
    assert_nothing_left(clipper, "none")


@pytest.mark.heavy
def test_too_little_memory_is_told_of(clipper, digits):
    model = Ridge().fit(digits[0], digits[1])
    with pytest.raises(ClipperException, match="It ran out of memory: if you gave memory_bytes, give more"):
        deployer.create_endpoint(clipper, "none", "doubles", model, memory_bytes=20_000_000)
    assert_nothing_left(clipper, "none")
