"""A classifier of LightGBM behind a REST endpoint: what is served equals what the model says here.

    python examples/frameworks/lightgbm.py

Needs: pip install lightgbm scikit-learn. The cluster is one of its own, on free ports, and is stopped at the end.
"""

import os
import sys

sys.path.pop(0)  # this file's folder, in which lightgbm would be this file

from lightgbm import LGBMClassifier
from sklearn.datasets import load_iris

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import lightgbm as deployer


def main():
    iris = load_iris()
    model = LGBMClassifier(n_estimators=20, verbose=-1).fit(iris.data, iris.target_names[iris.target])
    clipper_conn = ClipperConnection(LocalContainerManager(f"lightgbm-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        deployer.create_endpoint(clipper_conn, "iris", "doubles", model, slo_micros=1_000_000)
        answers = clipper_conn.predict_batch("iris", iris.data.tolist())
        served = [answer["output"] for answer in answers]
        assert served == model.predict(iris.data).tolist()
        print(f"{len(served)} flowers: the names served, such as {served[0]}, are those of the model")
    finally:
        clipper_conn.stop_all()


if __name__ == "__main__":
    main()
