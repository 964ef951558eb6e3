"""A pipeline of scikit-learn behind a REST endpoint: what is served equals what the model says here.

    python examples/frameworks/sklearn.py

Needs: pip install scikit-learn. The cluster is one of its own, on free ports, and is stopped at the end.
"""

import os
import sys

sys.path.pop(0)  # this file's folder, in which sklearn would be this file

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import sklearn as deployer


def main():
    data, labels = load_digits(return_X_y=True)
    train, new = data[:1500], data[1500:]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train, labels[:1500])
    clipper_conn = ClipperConnection(LocalContainerManager(f"sklearn-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        deployer.create_endpoint(clipper_conn, "digits", "doubles", model, slo_micros=1_000_000)
        answers = clipper_conn.predict_batch("digits", new.tolist())
        served = [answer["output"] for answer in answers]
        assert served == model.predict(new).tolist()
        print(f"{len(served)} images: the labels served are those of the model")
    finally:
        clipper_conn.stop_all()


if __name__ == "__main__":
    main()
