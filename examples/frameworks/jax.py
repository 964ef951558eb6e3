"""A network of JAX behind a REST endpoint: what is served equals what the function says here.

    python examples/frameworks/jax.py

Needs: pip install jax scikit-learn. The cluster is one of its own, on free ports, and is stopped at the end.
"""

import os
import sys

sys.path.pop(0)  # this file's folder, in which jax would be this file

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import jax as deployer


@jax.jit
def scores(params, images):
    hidden = jnp.tanh(images / 16 @ params["hidden"])
    return hidden @ params["last"] + params["bias"]


def label(params, inputs):
    """JAX compiles for each size of batch: these are few if the batch is filled up to a power of two."""
    size = 1 << (len(inputs) - 1).bit_length()
    filled = np.zeros((size, inputs.shape[1]), np.float32)
    filled[: len(inputs)] = inputs
    return scores(params, filled).argmax(axis=1)[: len(inputs)]


def main():
    data, labels = load_digits(return_X_y=True)
    params, new = train(data[:1500], labels[:1500]), data[1500:]
    clipper_conn = ClipperConnection(LocalContainerManager(f"jax-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        deployer.create_endpoint(
            clipper_conn, "digits", "doubles", label, params, slo_micros=60_000_000, sample=new[0]
        )
        answers = clipper_conn.predict_batch("digits", new.tolist())
        served = [answer["output"] for answer in answers]
        assert served == np.asarray(label(params, new)).tolist()
        right = np.mean(np.array(served) == labels[1500:])
        print(f"{len(served)} images: served equals local, {right:.0%} of them right")
    finally:
        clipper_conn.stop_all()


def train(data, labels):
    keys = jax.random.split(jax.random.key(1))
    params = {
        "hidden": jax.random.normal(keys[0], (64, 32)) / 8,
        "last": jax.random.normal(keys[1], (32, 10)) / 6,
        "bias": jnp.zeros(10),
    }

    @jax.jit
    def step(params):
        def loss(params):
            return -jax.nn.log_softmax(scores(params, data))[jnp.arange(len(labels)), labels].mean()

        return jax.tree.map(lambda value, slope: value - 0.5 * slope, params, jax.grad(loss)(params))

    for _ in range(100):
        params = step(params)
    return params


if __name__ == "__main__":
    main()
