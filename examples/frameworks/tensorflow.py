"""A SavedModel of TensorFlow that knows handwritten digits, behind an application.

    python examples/frameworks/tensorflow.py

Needs TensorFlow 2 and scikit-learn: pip install tensorflow-cpu scikit-learn. The cluster is one of its own, on any
free ports, and is stopped at the end, whatever happens.
"""

import os
import sys
import tempfile

sys.path.pop(0)  # this file has the name of what it imports: do not look for that in its folder

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import tensorflow as tensorflow_deployer

APP = "digits"
ASKED = 100


class Digits(tf.Module):
    """A softmax regression."""

    def __init__(self):
        self.weights = tf.Variable(tf.zeros((64, 10)))
        self.bias = tf.Variable(tf.zeros(10))

    @tf.function(input_signature=[tf.TensorSpec((None, 64), tf.float32)])
    def __call__(self, images):
        return tf.nn.softmax(images @ self.weights + self.bias)


def main():
    model, images = train()
    clipper_conn = ClipperConnection(LocalContainerManager(f"tensorflow-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        with tempfile.TemporaryDirectory() as folder:
            tf.saved_model.save(model, folder)
            tensorflow_deployer.create_endpoint(clipper_conn, APP, "doubles", None, folder)
        answers = clipper_conn.predict_batch(APP, images)
        assert not any(each["default"] for each in answers), answers
        served = np.array([each["output"] for each in answers])
        np.testing.assert_allclose(served, model(images.astype("float32")), rtol=1e-5, atol=1e-5)
        print(f"Served equals local for {len(served)} images, such as {served[0].argmax()} for the first of them")
    finally:
        clipper_conn.stop_all()


def train():
    """The model and images that it has not seen."""
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    model, known = Digits(), tf.constant(images[:-ASKED], tf.float32)
    variables = model.trainable_variables
    for _ in range(100):
        with tf.GradientTape() as tape:
            likelihoods = tf.gather(model(known), labels[:-ASKED], batch_dims=1)
            loss = -tf.reduce_mean(tf.math.log(likelihoods))
        for variable, slope in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(slope)
    return model, images[-ASKED:]


if __name__ == "__main__":
    main()
