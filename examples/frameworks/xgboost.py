"""A classifier of XGBoost behind a REST endpoint: what is served equals what the model says here.

    python examples/frameworks/xgboost.py

Needs: pip install xgboost scikit-learn. The cluster is one of its own, on free ports, and is stopped at the end.
"""

import os
import sys

sys.path.pop(0)  # this file's folder, in which xgboost would be this file

from sklearn.datasets import load_digits
from xgboost import XGBClassifier

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import xgboost as deployer


def main():
    data, labels = load_digits(return_X_y=True)
    train, new = data[:1500], data[1500:]
    model = XGBClassifier(n_estimators=20).fit(train, labels[:1500])
    clipper_conn = ClipperConnection(LocalContainerManager(f"xgboost-{os.getpid()}", 0, 0, 0))
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
