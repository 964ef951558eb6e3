"""JAX: what is served is what the function says here.

Labels are compared exactly, numbers within 1e-6: they are float32, which adds up in another order in a batch of
another size.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from clipper_admin import ClipperException
from clipper_admin.deployers import jax as deployer
from clipper_admin.deployers.python import deploy_python_closure
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.frameworks
TOLERANCE = 1e-6
MODULE = """
import jax

@jax.tree_util.register_pytree_node_class
class Layer:
    def __init__(self, weights, bias):
        self.weights, self.bias = weights, bias

    def tree_flatten(self):
        return (self.weights, self.bias), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        return cls(*leaves)
"""


class Scaled(NamedTuple):
    layer: dict
    scale: float


@pytest.fixture(scope="module")
def digits():
    data, labels = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=200).fit(data[:1000] / 16, labels[:1000])
    params = {"weights": jax.numpy.asarray(model.coef_.T), "bias": jax.numpy.asarray(model.intercept_)}
    return params, data[1000:1256]


@jax.jit
def probabilities(params, inputs):
    return jax.nn.softmax(inputs / 16 @ params["weights"] + params["bias"])


def label(params, inputs):
    return probabilities(params, inputs).argmax(axis=1)


def test_a_compiled_function_answers_numbers(clipper, serve, digits):
    params, new = digits
    deployer.deploy_jax_model(clipper, "numbers", 1, "doubles", probabilities, params, sample=new[0])
    assert_same_answers(clipper, serve("numbers"), new, np.asarray(probabilities(params, new)), tolerance=TOLERANCE)


def test_a_function_answers_labels(clipper, digits):
    params, new = digits
    floats = new.astype(np.float32)
    deployer.create_endpoint(clipper, "labels", "floats", label, params, slo_micros=60_000_000)
    assert_same_answers(clipper, "labels", floats, np.asarray(label(params, floats)))


def test_a_compiled_function_is_a_closure_like_any_other(clipper, serve, digits):
    params, new = digits
    deploy_python_closure(clipper, "closure", 1, "doubles", lambda inputs: label(params, np.array(inputs)))
    assert_same_answers(clipper, serve("closure"), new, np.asarray(label(params, new)))


def test_a_tree_of_the_session_and_a_list_of_arrays(clipper, serve, digits):
    params, new = digits

    @jax.jit
    def score(inputs):
        return inputs / 16

    def labels(params, inputs):
        assert isinstance(params.layer["weights"], jax.Array)
        assert isinstance(params.scale, float)
        assert params.scale == 16.0
        scores = score(inputs) @ params.layer["weights"] + params.layer["bias"]
        return list(scores.argmax(axis=1))

    scaled = Scaled(params, 16.0)
    deployer.deploy_jax_model(clipper, "scaled", 1, "doubles", labels, scaled, sample=new[0])
    assert_same_answers(clipper, serve("scaled"), new, np.asarray(label(params, new)))


def test_a_class_of_a_module_beside_the_session_is_carried(clipper, serve, digits, tmp_path, monkeypatch):
    (tmp_path / "layers_of_digits.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import layers_of_digits

    params, new = digits

    def labels(layer, inputs):
        assert isinstance(layer.weights, jax.Array)
        return (inputs @ layer.weights + 16 * layer.bias).argmax(axis=1)

    layer = layers_of_digits.Layer(params["weights"], params["bias"])
    deployer.deploy_jax_model(clipper, "layer", 1, "doubles", labels, layer, sample=new[0])
    assert_same_answers(clipper, serve("layer"), new, np.asarray(label(params, new)))


def test_half_precision_stays_so(clipper, serve, digits):
    params, new = digits
    half = jax.tree.map(lambda leaf: leaf.astype(jax.numpy.bfloat16), params)

    def kinds(params, inputs):
        return [f"{params['bias'].dtype}: {params['bias'][3]}" for _ in inputs]

    deployer.deploy_jax_model(clipper, "half", 1, "doubles", kinds, half, sample=new[0])
    assert_same_answers(clipper, serve("half"), new, kinds(half, new))


@pytest.mark.parametrize(
    ("func", "params", "says"),
    [
        (None, {"a": np.ones(1)}, "func must take the parameters and a batch of inputs, it is a NoneType"),
        (lambda inputs: inputs, {"a": np.ones(1)}, "can't be called with .params, inputs."),
        (label, {}, "There are no arrays in params, a dict"),
        (label, {"layer": [1, len]}, r"params\['layer'\]\[1\] is a builtins.builtin_function_or_method: give a tree"),
        (label, {"a": np.array(["b"])}, r"params\['a'\] is an array of <U1"),
        (label, threading.Lock(), "params is a _thread.lock: give a tree of arrays"),
    ],
)
def test_what_can_not_answer_is_refused_before_anything_starts(clipper, func, params, says):
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "none", "doubles", func, params)
    assert_nothing_left(clipper, "none")


def test_a_key_and_arrays_given_away_are_refused(clipper):
    with pytest.raises(ClipperException, match=r"is a key of random numbers, for which jax\.random\.key_data"):
        deployer.create_endpoint(clipper, "none", "doubles", label, {"key": jax.random.key(1)})
    gone = jax.numpy.ones(3)
    gone.delete()
    with pytest.raises(ClipperException, match="Error saving jax model: RuntimeError: Array has been deleted"):
        deployer.create_endpoint(clipper, "none", "doubles", label, {"gone": gone})
    assert_nothing_left(clipper, "none")


@pytest.mark.parametrize(
    ("func", "says"),
    [
        (lambda params, inputs: [1, 2], "Expected model to return 1 outputs, found 2 outputs"),
        (label, "dot_general requires contracting dimensions to have the same shape"),
    ],
)
def test_what_fails_on_the_sample_leaves_nothing_behind(clipper, digits, func, says):
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "wrong", "doubles", func, digits[0], sample=[0.0] * 63)
    assert_nothing_left(clipper, "wrong")
