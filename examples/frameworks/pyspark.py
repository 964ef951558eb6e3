"""A pipeline of Spark that tells irises apart, behind an application.

    python examples/frameworks/pyspark.py

Needs Java 17, PySpark and scikit-learn: pip install pyspark scikit-learn. The cluster is one of its own, on any free
ports, and is stopped at the end, whatever happens.
"""

import os
import sys

sys.path.pop(0)  # this file has the name of what it imports: do not look for that in its folder

from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import StandardScaler
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from sklearn.datasets import load_iris

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import pyspark as pyspark_deployer

APP = "iris"


def main():
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    flowers, labels = load_iris(return_X_y=True)
    model = train(spark, flowers, labels)
    clipper_conn = ClipperConnection(LocalContainerManager(f"pyspark-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        pyspark_deployer.create_endpoint(
            clipper_conn, APP, "doubles", predict, model, spark.sparkContext, slo_micros=30_000_000, sample=flowers[0]
        )
        answers = clipper_conn.predict_batch(APP, flowers)
        assert not any(each["default"] for each in answers), answers
        served = [each["output"] for each in answers]
        assert served == predict(spark, model, flowers)
        print(f"Served equals local for {len(served)} flowers, such as {served[0]} for the first of them")
    finally:
        clipper_conn.stop_all()
        spark.stop()


def train(spark, flowers, labels):
    rows = [(Vectors.dense(flower), float(label)) for flower, label in zip(flowers.tolist(), labels, strict=True)]
    scaler = StandardScaler(inputCol="features", outputCol="scaled")
    regression = LogisticRegression(featuresCol="scaled")
    return Pipeline(stages=[scaler, regression]).fit(spark.createDataFrame(rows, ["features", "label"]))


def predict(spark, model, inputs):
    """The labels, one for each input."""
    rows = spark.createDataFrame([(Vectors.dense(each.tolist()),) for each in inputs], ["features"])
    return [each.prediction for each in model.transform(rows).collect()]


if __name__ == "__main__":
    main()
