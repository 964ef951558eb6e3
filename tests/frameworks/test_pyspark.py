"""Spark: what is served is what the model says here."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time

import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import Ridge

from clipper.container.frameworks import pyspark as loader
from clipper_admin import ClipperException
from clipper_admin.deployers import pyspark as deployer
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers

pytest.importorskip("pyspark")

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17: there is no java in PATH")
pytestmark = [
    pytest.mark.frameworks,
    needs_java,
    # JAX, which is here if its tests ran before, warns of any fork; this one runs java at once.
    pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning"),
    pytest.mark.timeout(300),  # the first job of a Spark session takes many seconds where cores are short
]


@pytest.fixture(scope="module")
def spark():
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture(scope="module")
def sc(spark):
    return spark.sparkContext


@pytest.fixture(scope="module")
def iris(spark):
    from pyspark.ml.linalg import Vectors

    data, labels = load_iris(return_X_y=True)
    rows = [(Vectors.dense(row), float(label)) for row, label in zip(data.tolist(), labels, strict=True)]
    return data, spark.createDataFrame(rows, ["features", "label"])


@pytest.fixture(scope="module")
def trained(iris):
    from pyspark.ml.classification import LogisticRegression

    return LogisticRegression(maxIter=20).fit(iris[1])


def transforming(column):
    """A function as of a notebook, which is pickled by value: a container has no such module as this."""

    def answer(spark, model, inputs):
        from pyspark.ml.linalg import Vectors

        rows = spark.createDataFrame([(Vectors.dense(each.tolist()),) for each in inputs], ["features"])
        answers = [each[column] for each in model.transform(rows).collect()]
        return answers if column == "prediction" else [each.tolist() for each in answers]

    return answer


probabilities, labels = transforming("probability"), transforming("prediction")


def test_a_model_of_ml_answers_its_probabilities(clipper, serve, spark, sc, iris, trained):
    data = iris[0]
    deployer.deploy_pyspark_model(clipper, "ml", 1, "doubles", probabilities, trained, sc)
    assert_same_answers(clipper, serve("ml"), data, probabilities(spark, trained, data), tolerance=1e-6)


def test_a_pipeline_answers_its_labels(clipper, spark, iris):
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import DecisionTreeClassifier
    from pyspark.ml.feature import StandardScaler

    data, table = iris
    stages = [StandardScaler(inputCol="features", outputCol="scaled"), DecisionTreeClassifier(featuresCol="scaled")]
    model = Pipeline(stages=stages).fit(table)
    patience = 60_000_000  # each batch is a job of Spark's
    deployer.create_endpoint(
        clipper, "pipeline", "doubles", labels, model, spark, slo_micros=patience, sample=[5.1, 3.5, 1.4, 0.2]
    )
    assert_same_answers(clipper, "pipeline", data, labels(spark, model, data))


def test_a_model_of_mllib_answers_its_labels(clipper, serve, spark, sc):
    from pyspark.mllib.classification import LogisticRegressionWithLBFGS
    from pyspark.mllib.regression import LabeledPoint

    data, digits = load_digits(return_X_y=True)
    points = [LabeledPoint(float(label), row) for row, label in zip(data[:500].tolist(), digits, strict=False)]
    model = LogisticRegressionWithLBFGS.train(sc.parallelize(points, 1), iterations=20, numClasses=10)

    def predict(spark_session, model, inputs):
        return [model.predict(each) for each in inputs]

    deployer.deploy_pyspark_model(clipper, "mllib", 1, "doubles", predict, model, sc)
    new = data[1000:1256]
    assert_same_answers(clipper, serve("mllib"), new, predict(spark, model, new))


def test_the_session_is_local_and_shows_no_pages(clipper, serve, sc, trained):
    def settings(spark, model, inputs):
        context = spark.sparkContext
        own = {"master": context.master, "ui": context.uiWebUrl, "host": context.getConf().get("spark.driver.host")}
        return [own] * len(inputs)

    deployer.deploy_pyspark_model(clipper, "settings", 1, "doubles", settings, trained, sc)
    answer = clipper.predict(serve("settings"), [0.0])["output"]
    assert answer == {"master": "local[1]", "ui": None, "host": "127.0.0.1"}


def test_without_java_the_deploy_fails_in_seconds_and_says_what_to_install(
    clipper, sc, trained, monkeypatch, tmp_path
):
    for program in ("env", "nice", "bash", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    began = time.monotonic()
    with pytest.raises(ClipperException, match="there is none in PATH, nor is JAVA_HOME set: install Java 17"):
        deployer.create_endpoint(clipper, "coffee", "doubles", probabilities, trained, sc)
    assert time.monotonic() - began < 30
    assert_nothing_left(clipper, "coffee")


def test_a_wrong_java_home_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    with pytest.raises(RuntimeError, match=f"there is none in JAVA_HOME, {tmp_path}/jdk: correct it"):
        loader.check_java()


def test_a_truncated_model_is_not_served(spark, trained, tmp_path):
    trained.write().save((tmp_path / loader.FOLDER).as_uri())
    note = {"model_class": "pyspark.ml.classification.LogisticRegressionModel"}
    (tmp_path / loader.NOTE).write_text(json.dumps(note))
    assert loader.load_model(spark, tmp_path).coefficientMatrix == trained.coefficientMatrix
    for each in [*tmp_path.glob("*/data/*.parquet"), *tmp_path.glob("*/data/part-*")]:
        each.write_bytes(each.read_bytes()[:-100])
    for each in tmp_path.glob("*/data/.*.crc"):
        each.unlink()
    with pytest.raises(Exception, match=r"(?i)parquet|eof|read|corrupt"):
        loader.load_model(spark, tmp_path)


def test_an_estimator_is_not_fitted(clipper, sc):
    from pyspark.ml.classification import LogisticRegression

    with pytest.raises(ClipperException, match="is not fitted yet: deploy what its fit returns"):
        deployer.create_endpoint(clipper, "none", "doubles", probabilities, LogisticRegression(), sc)
    assert_nothing_left(clipper, "none")


@pytest.mark.parametrize(
    ("func", "model", "context", "says"),
    [
        (probabilities, Ridge(), "sc", "A model of pyspark.ml or pyspark.mllib is deployed here, not a sklearn."),
        (probabilities, "trained", "other", "sc must be the SparkContext that the model lives in, not a str"),
        (None, "trained", "sc", "The predict function must be callable, not None"),
        (lambda model, inputs: [], "trained", "sc", r"can't be called with \(spark_session, model, inputs\)"),
    ],
)
def test_what_can_not_answer_is_refused_before_anything_starts(clipper, sc, trained, func, model, context, says):
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(
            clipper, "none", "doubles", func, trained if model == "trained" else model, sc if context == "sc" else ""
        )
    assert_nothing_left(clipper, "none")


def test_a_function_that_holds_the_session_is_told_so(clipper, spark, sc, trained):
    with pytest.raises(ClipperException, match="can't be pickled"):
        deployer.create_endpoint(clipper, "none", "doubles", lambda *given: (spark, given), trained, sc)
    assert_nothing_left(clipper, "none")


def test_a_function_that_fails_on_the_sample_leaves_nothing_behind(clipper, sc, trained):
    with pytest.raises(ClipperException, match="Expected model to return 1 outputs, found 2 outputs"):
        deployer.create_endpoint(
            clipper, "twice", "doubles", lambda spark, model, inputs: [1, 2], trained, sc, sample=[0.0] * 4
        )
    assert_nothing_left(clipper, "twice")
