"""A pipeline of scikit-learn as ONNX behind a REST endpoint: what is served equals what ONNX Runtime says here.

    python examples/frameworks/onnx.py

Needs: pip install onnx onnxruntime skl2onnx. The cluster is one of its own, on free ports, and is stopped at the end.
"""

import os
import sys

sys.path.pop(0)  # this file's folder, in which onnx would be this file

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import onnx as deployer


def main():
    data, labels = load_digits(return_X_y=True)
    train, new = data[:1500].astype(np.float32), data[1500:].astype(np.float32)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(train, labels[:1500])
    model = to_onnx(pipeline, train[:1])
    clipper_conn = ClipperConnection(LocalContainerManager(f"onnx-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        deployer.create_endpoint(clipper_conn, "digits", "floats", model, slo_micros=1_000_000)
        answers = clipper_conn.predict_batch("digits", new.tolist())
        served = [answer["output"] for answer in answers]
        session = onnxruntime.InferenceSession(model.SerializeToString())
        assert served == session.run(None, {"X": new})[0].tolist()
        print(f"{len(served)} images: the labels served are those of the model")
    finally:
        clipper_conn.stop_all()


if __name__ == "__main__":
    main()
