"""Keras: what is served is what the model says here.

Numbers are compared within 1e-5: they are float32, of about seven digits, and a matrix product of a batch of another
size adds up in another order. Labels are compared exactly.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

from clipper_admin import ClipperException
from clipper_admin.deployers import keras as deployer
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers

keras = pytest.importorskip("keras")

pytestmark = [
    pytest.mark.frameworks,
    # Keras hands numpy's copy keyword on in a way that numpy 2 deprecates.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def digits():
    data, labels = load_digits(return_X_y=True)
    return data[:1000] / 16, labels[:1000], data[1000:1256] / 16


@pytest.fixture(scope="module")
def dense(digits):
    data, labels, _ = digits
    layers = [keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")]
    return fitted(keras.Sequential(layers), data, labels)


def fitted(model, data, labels):
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data, labels, epochs=3, verbose=0)
    return model


def test_a_model_answers_what_predict_on_batch_does(clipper, serve, digits, dense):
    new = digits[2]
    deployer.deploy_keras_model(clipper, "dense", 1, "doubles", None, dense)
    assert_same_answers(clipper, serve("dense"), new, dense.predict_on_batch(new), tolerance=TOLERANCE)


def test_flat_queries_get_the_shape_that_a_convolution_wants(clipper, serve, digits):
    data, labels, new = digits
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(10, "softmax"),
    ]
    model = fitted(keras.Sequential(layers), data.reshape(-1, 8, 8, 1), labels)
    floats = new.astype(np.float32)
    deployer.deploy_keras_model(clipper, "convolution", 1, "floats", None, model)
    expected = model.predict_on_batch(floats.reshape(-1, 8, 8, 1))
    assert_same_answers(clipper, serve("convolution", "floats"), floats, expected, tolerance=TOLERANCE)


def test_a_function_makes_labels_of_a_model(clipper):
    iris = load_iris()
    layers = [keras.Input((4,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3, "softmax")]
    model = fitted(keras.Sequential(layers), iris.data, iris.target)
    names = [str(each) for each in iris.target_names]

    def name(model, inputs):
        return [names[place] for place in model.predict_on_batch(inputs).argmax(axis=1)]

    deployer.create_endpoint(clipper, "iris", "doubles", name, model, sample=[5.1, 3.5, 1.4, 0.2])
    assert_same_answers(clipper, "iris", iris.data, name(model, iris.data))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_is_deployed_as_it_is(clipper, serve, digits, dense, tmp_path, suffix):
    new, name = digits[2], f"file{suffix.replace('.', '-')}"
    dense.save(tmp_path / f"digits{suffix}")
    deployer.deploy_keras_model(clipper, name, 1, "doubles", None, str(tmp_path / f"digits{suffix}"))
    assert_same_answers(clipper, serve(name), new, dense.predict_on_batch(new), tolerance=TOLERANCE)


def test_a_lambda_layer_is_code_which_a_file_may_not_bring_but_a_model_may(clipper, serve, digits, tmp_path):
    new = digits[2]
    model = keras.Sequential([keras.Input((64,)), keras.layers.Lambda(lambda each: each * 2, output_shape=(64,))])
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(ClipperException, match="safe_mode=False"):
        deployer.deploy_keras_model(clipper, "lambda", 1, "doubles", None, tmp_path / "lambda.keras")
    assert "lambda:1" not in clipper.get_all_models()
    deployer.deploy_keras_model(clipper, "lambda", 1, "doubles", None, model)
    assert_same_answers(clipper, serve("lambda"), new, new * 2, tolerance=TOLERANCE)


CUSTOM = """
import keras
from helper_of_layers import FACTOR

@keras.saving.register_keras_serializable("flowers")
class Scale(keras.layers.Layer):
    def call(self, inputs):
        return inputs * FACTOR

class Shift(keras.layers.Layer):
    def __init__(self, by, **options):
        super().__init__(**options)
        self.by = by

    def call(self, inputs):
        return inputs + self.by

    def get_config(self):
        return {**super().get_config(), "by": self.by}

class Halves(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.ops.full(shape, 0.5, dtype)

def squared(values):
    return values * values

def made():
    inner = keras.Sequential([keras.Input((4,)), Shift(1)])
    return keras.Sequential([
        keras.Input((4,)), Scale(), inner, keras.layers.Dense(2, squared, kernel_initializer=Halves()),
    ])
"""


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Where the layers of CUSTOM are two modules of the caller's own."""
    (tmp_path / "layers_of_flowers.py").write_text(CUSTOM)
    (tmp_path / "helper_of_layers.py").write_text("FACTOR = 3")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("layers_of_flowers", "helper_of_layers"):
        sys.modules.pop(name, None)
    for name in [each for each in keras.saving.get_custom_objects() if each.startswith("flowers>")]:
        del keras.saving.get_custom_objects()[name]


def test_layers_and_functions_of_a_module_beside_it_are_carried(clipper, serve, beside, caplog):
    import layers_of_flowers

    given, new = keras.Input((4,)), load_iris().data
    model = keras.Model(given, layers_of_flowers.made()(given))
    caplog.set_level("INFO", logger="clipper_admin")
    deployer.deploy_keras_model(clipper, "beside", 1, "doubles", None, model)
    assert "Carrying custom objects of the model: Halves, Shift, flowers>Scale, squared" in caplog.messages
    assert_same_answers(clipper, serve("beside"), new, model.predict_on_batch(new), tolerance=TOLERANCE)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_with_layers_that_are_registered_here_is_served(clipper, serve, beside, suffix):
    from layers_of_flowers import Scale

    model, new, name = keras.Sequential([keras.Input((4,)), Scale()]), load_iris().data, f"own-{suffix[1:]}"
    model.save(beside / f"flowers{suffix}")
    deployer.deploy_keras_model(clipper, name, 1, "doubles", None, beside / f"flowers{suffix}")
    assert_same_answers(clipper, serve(name), new, model.predict_on_batch(new), tolerance=TOLERANCE)
    del keras.saving.get_custom_objects()["flowers>Scale"]
    with pytest.raises(ClipperException, match=r"(?s)Keras can't load .*flowers.*Scale"):
        deployer.deploy_keras_model(clipper, "none", 1, "doubles", None, beside / f"flowers{suffix}")


def test_layers_of_a_notebook_are_carried(clipper, serve, beside):
    """Of ``__main__``, in a process that is over when the model is asked."""
    script = beside / "notebook.py"
    deploy = f"""
        import numpy as np
        from clipper_admin import ClipperConnection, LocalContainerManager
        from clipper_admin.deployers import keras as deployer

        def first(model, inputs):
            is_own = isinstance(model.layers[0], Scale)
            return [[is_own, *map(float, each)] for each in model.predict_on_batch(inputs)]

        if __name__ == "__main__":
            conn = ClipperConnection(LocalContainerManager("c", home={str(clipper.cm.home)!r}, deploy_timeout=120))
            conn.connect()
            deployer.deploy_keras_model(conn, "notebook", 1, "doubles", None, made())
            deployer.deploy_keras_model(conn, "notebook-func", 1, "doubles", first, made())
        """
    script.write_text(CUSTOM + textwrap.dedent(deploy))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert "Carrying custom objects of the model: Halves, Shift, flowers>Scale, squared" in done.stderr
    new = load_iris().data
    expected = np.repeat(((new * 3 + 1).sum(axis=1, keepdims=True) / 2) ** 2, 2, axis=1)
    assert_same_answers(clipper, serve("notebook"), new, expected, tolerance=TOLERANCE)
    flags = [[True, *each] for each in expected.tolist()]
    assert_same_answers(clipper, serve("notebook-func"), new, flags, tolerance=TOLERANCE)


def test_several_inputs_need_a_function(clipper, serve):
    left, right = keras.Input((2,)), keras.Input((2,))
    model = keras.Model([left, right], keras.layers.Add()([left, right]))
    with pytest.raises(ClipperException, match="has 2 inputs and 1 outputs: pass func="):
        deployer.deploy_keras_model(clipper, "add", 1, "doubles", None, model)

    def halves(model, inputs):
        return model.predict_on_batch([inputs[:, :2], inputs[:, 2:]]).tolist()

    deployer.deploy_keras_model(clipper, "add", 1, "doubles", halves, model)
    inputs = np.arange(20.0).reshape(5, 4)
    assert_same_answers(clipper, serve("add"), inputs, inputs[:, :2] + inputs[:, 2:])


def write_truncated(file, model):
    model.save(file)
    file.write_bytes(file.read_bytes()[:-500])


@pytest.mark.parametrize(
    ("file", "write", "says"),
    [
        ("missing.keras", lambda file, model: None, "There is no file .*missing.keras: save the model there"),
        ("cut.keras", write_truncated, "Keras can't load .*cut.keras: "),
        ("empty.h5", lambda file, model: file.touch(), "Keras can't load .*empty.h5: "),
        ("forest.joblib", lambda file, model: joblib.dump([1], file), "forest.joblib is no Keras model by its name"),
        ("forest.keras", lambda file, model: joblib.dump([1], file), "Keras can't load .*forest.keras: "),
        ("saved_model", lambda file, model: file.mkdir(), "saved_model is a directory: .*deployers.tensorflow"),
    ],
)
def test_a_file_that_is_no_model_is_refused_before_anything_starts(clipper, dense, tmp_path, file, write, says):
    write(tmp_path / file, dense)
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "none", "doubles", None, tmp_path / file)
    assert_nothing_left(clipper, "none")


@pytest.mark.parametrize(
    ("make", "input_type", "says"),
    [
        (lambda dense: len, "doubles", "A Keras 3 model is deployed here, not a builtins.builtin_function_or_method"),
        (lambda dense: keras.Sequential([keras.layers.Dense(1)]), "doubles", "has no weights yet: train it"),
        (lambda dense: dense, "strings", "Keras takes numbers: pass func="),
    ],
)
def test_what_can_not_answer_is_refused_before_anything_starts(clipper, dense, make, input_type, says):
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "none", input_type, None, make(dense))
    assert_nothing_left(clipper, "none")


def test_a_function_that_fails_on_the_sample_leaves_nothing_behind(clipper, dense):
    with pytest.raises(ClipperException, match="Expected model to return 1 outputs, found 2 outputs"):
        deployer.create_endpoint(clipper, "twice", "doubles", lambda model, inputs: [1, 2], dense, sample=[0.0] * 64)
    assert_nothing_left(clipper, "twice")
