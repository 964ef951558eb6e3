"""A Keras network of handwritten digits behind an application.

    python examples/frameworks/keras.py

Needs Keras 3, a backend and scikit-learn: pip install keras tensorflow-cpu scikit-learn. The cluster is one of its
own, on any free ports, and is stopped at the end, whatever happens.
"""

import os
import sys

sys.path.pop(0)  # this file has the name of what it imports: do not look for that in its folder

import keras
import numpy as np
from sklearn.datasets import load_digits

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import keras as keras_deployer

APP = "digits"
ASKED = 100


def main():
    model, images = train()
    clipper_conn = ClipperConnection(LocalContainerManager(f"keras-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        keras_deployer.create_endpoint(clipper_conn, APP, "doubles", None, model)
        answers = clipper_conn.predict_batch(APP, images)
        assert not any(each["default"] for each in answers), answers
        served = np.array([each["output"] for each in answers])
        own = model.predict_on_batch(images)
        np.testing.assert_allclose(served, own, rtol=1e-5, atol=1e-5)
        print(f"Served equals local for {len(served)} images, such as {served[0].argmax()} for the first of them")
    finally:
        clipper_conn.stop_all()


def train():
    """The network and images that it has not seen."""
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    layers = [keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images[:-ASKED], labels[:-ASKED], epochs=5, verbose=0)
    return model, images[-ASKED:]


if __name__ == "__main__":
    main()
