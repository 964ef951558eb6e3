"""A model that MLflow saved behind a REST endpoint: what is served equals what its pyfunc says here.

    python examples/frameworks/mlflow.py

Needs: pip install mlflow. The cluster is one of its own, on free ports, and is stopped at the end.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # this file's folder, in which mlflow would be this file

import mlflow.pyfunc
import mlflow.sklearn
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import mlflow as deployer


def main():
    iris = load_iris(as_frame=True)
    clipper_conn = ClipperConnection(LocalContainerManager(f"mlflow-{os.getpid()}", 0, 0, 0))
    with tempfile.TemporaryDirectory() as folder:
        path = save(iris, Path(folder) / "iris")
        expected = mlflow.pyfunc.load_model(path).predict(iris.data).tolist()
        try:
            clipper_conn.start_clipper()
            deployer.create_endpoint(clipper_conn, "iris", "doubles", path, slo_micros=1_000_000)
            answers = clipper_conn.predict_batch("iris", iris.data.to_numpy().tolist())
            served = [answer["output"] for answer in answers]
            assert served == expected
            print(f"{len(served)} flowers: the labels served are those of the model")
        finally:
            clipper_conn.stop_all()


def save(iris, path):
    """Trains on a table of named columns; the signature keeps their order."""
    model = LogisticRegression(max_iter=500).fit(iris.data, iris.target)
    mlflow.sklearn.save_model(
        model,
        str(path),
        signature=infer_signature(iris.data, iris.target),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )
    return str(path)


if __name__ == "__main__":
    main()
