"""TensorFlow: what is served is what the model says here.

Numbers are compared within 1e-5: they are float32, of about seven digits, and a matrix product of a batch of another
size adds up in another order. Labels are compared exactly.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression

from clipper_admin import ClipperException
from clipper_admin.deployers import tensorflow as deployer
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers

tf = pytest.importorskip("tensorflow")

pytestmark = pytest.mark.frameworks
TOLERANCE = 1e-5


class Regression(tf.Module):
    """A logistic regression that answers probabilities; trained by scikit-learn."""

    def __init__(self, data, labels):
        fitted = LogisticRegression(max_iter=1000).fit(data, labels)
        self.weights = tf.Variable(fitted.coef_.T, dtype=tf.float32)
        self.bias = tf.Variable(fitted.intercept_, dtype=tf.float32)

    def probabilities(self, inputs):
        return tf.nn.softmax(inputs @ self.weights + self.bias)


class Digits(Regression):
    @tf.function(input_signature=[tf.TensorSpec((None, 64), tf.float32)])
    def __call__(self, inputs):
        return self.probabilities(inputs)


class Images(Regression):
    """As ``Digits``, of images of 8 by 8."""

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8), tf.float32)])
    def __call__(self, images):
        return self.probabilities(tf.reshape(images, (-1, 64)))


class Iris(Regression):
    """Its signature has two inputs."""

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32), tf.TensorSpec((), tf.float32)])
    def scaled(self, inputs, factor):
        return self.probabilities(inputs * factor)


class Lengths(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def __call__(self, texts):
        return tf.strings.length(texts, unit="UTF8_CHAR")


class Untraced(tf.Module):
    @tf.function
    def __call__(self, inputs):
        return inputs


@pytest.fixture(scope="module")
def digits():
    data, labels = load_digits(return_X_y=True)
    return data[:1000] / 16, labels[:1000], data[1000:1256] / 16


@pytest.fixture(scope="module")
def module(digits):
    return Digits(*digits[:2])


@pytest.fixture
def folder(module, tmp_path):
    tf.saved_model.save(module, str(tmp_path / "digits"))
    return tmp_path / "digits"


def test_a_module_answers_by_its_signature(clipper, serve, digits, module):
    new = digits[2]
    deployer.deploy_tensorflow_model(clipper, "module", 1, "doubles", None, module)
    expected = module(tf.constant(new, tf.float32)).numpy()
    assert_same_answers(clipper, serve("module"), new, expected, tolerance=TOLERANCE)


def test_a_directory_is_deployed_and_a_function_makes_labels(clipper, serve, digits, module, folder):
    new = digits[2]

    def label(model, inputs):
        return model(inputs.astype("float32")).numpy().argmax(axis=1).tolist()

    deployer.deploy_tensorflow_model(clipper, "labels", 1, "doubles", label, str(folder))
    assert_same_answers(clipper, serve("labels"), new, label(module, new))


def test_what_was_loaded_is_deployed_and_flat_queries_get_its_shape(clipper, digits, tmp_path):
    data, labels, new = digits
    images = Images(data, labels)
    tf.saved_model.save(images, str(tmp_path / "images"))
    floats = new.astype(np.float32)
    deployer.create_endpoint(clipper, "images", "floats", None, tf.saved_model.load(str(tmp_path / "images")))
    expected = images(tf.constant(floats.reshape(-1, 8, 8))).numpy()
    assert_same_answers(clipper, "images", floats, expected, tolerance=TOLERANCE)


def test_a_model_with_two_inputs_needs_a_function(clipper, serve):
    iris = load_iris()
    model = Iris(iris.data, iris.target)
    with pytest.raises(ClipperException, match="'serving_default' has 2 inputs and 1 outputs: pass func="):
        deployer.deploy_tensorflow_model(clipper, "iris", 1, "doubles", None, model)
    names = [str(each) for each in iris.target_names]

    def name(model, inputs):
        return [names[place] for place in model.scaled(inputs.astype("float32"), 1.0).numpy().argmax(axis=1)]

    deployer.deploy_tensorflow_model(clipper, "iris", 1, "doubles", name, model, sample=[5.1, 3.5, 1.4, 0.2])
    assert_same_answers(clipper, serve("iris"), iris.data, name(model, iris.data))


def test_texts_are_inputs_too(clipper, serve):
    deployer.deploy_tensorflow_model(clipper, "lengths", 1, "strings", None, Lengths(), sample="")
    texts = ["a", "one", "zwölf", "two words", "日本"]
    assert_same_answers(clipper, serve("lengths", "strings"), texts, [len(each) for each in texts])


def test_the_container_keeps_to_its_threads(clipper, serve, module):
    def threads(model, inputs):
        import tensorflow

        asked = tensorflow.config.threading
        answer = [asked.get_intra_op_parallelism_threads(), asked.get_inter_op_parallelism_threads()]
        return [answer] * len(inputs)

    deployer.deploy_tensorflow_model(clipper, "threads", 1, "doubles", threads, module, threads=2)
    assert clipper.predict(serve("threads"), [0.0])["output"] == [2, 2]


def test_a_session_is_refused_and_its_saved_model_is_not(clipper, serve, tmp_path):
    v1, folder = tf.compat.v1, str(tmp_path / "session")
    with tf.Graph().as_default(), v1.Session() as session:
        given = v1.placeholder(tf.float32, (None, 2))
        with pytest.raises(ClipperException, match=r"simple_save\(session, directory.*and give that directory"):
            deployer.create_endpoint(clipper, "session", "doubles", None, session)
        assert_nothing_left(clipper, "session")
        v1.saved_model.simple_save(session, folder, {"given": given}, {"double": given * 2})
    deployer.deploy_tensorflow_model(clipper, "session", 1, "doubles", None, folder)
    inputs = np.arange(10.0).reshape(5, 2)
    assert_same_answers(clipper, serve("session"), inputs, inputs * 2)


def cut(folder):
    file = folder / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-300])


def cut_variables(folder):
    (file,) = folder.glob("variables/*.data-*")
    file.write_bytes(file.read_bytes()[:-300])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: folder.rename(folder.with_name("other")), "There is no directory .*digits: save the model"),
        (cut, "TensorFlow can't load the SavedModel .*digits: "),
        (cut_variables, "TensorFlow can't load the SavedModel .*digits: "),
        (lambda folder: (folder / "saved_model.pb").unlink(), "is no SavedModel: there is no saved_model.pb in it"),
    ],
)
def test_a_directory_that_is_no_model_is_refused_before_anything_starts(clipper, folder, damage, says):
    damage(folder)
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "none", "doubles", None, folder)
    assert_nothing_left(clipper, "none")


def test_a_file_of_keras_is_for_another_deployer(clipper, tmp_path):
    (tmp_path / "model.keras").touch()
    with pytest.raises(ClipperException, match=r"is a file, and a SavedModel .*deployers\.keras"):
        deployer.create_endpoint(clipper, "none", "doubles", None, tmp_path / "model.keras")
    assert_nothing_left(clipper, "none")


@pytest.mark.parametrize(
    ("make", "input_type", "says"),
    [
        (lambda: len, "doubles", "or a tf.Module is deployed here, not a builtins.builtin_function_or_method"),
        (lambda: tf.keras.Sequential([tf.keras.Input((2,))]), "doubles", "is a model of Keras: use "),
        (Untraced, "doubles", "has no signature 'serving_default', but none at all"),
        (Lengths, "doubles", "'serving_default' takes string, and input_type is doubles"),
    ],
)
def test_what_can_not_answer_is_refused_before_anything_starts(clipper, make, input_type, says):
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "none", input_type, None, make())
    assert_nothing_left(clipper, "none")


def test_a_function_that_fails_on_the_sample_leaves_nothing_behind(clipper, module):
    with pytest.raises(ClipperException, match="Expected model to return 1 outputs, found 2 outputs"):
        deployer.create_endpoint(clipper, "twice", "doubles", lambda model, inputs: [1, 2], module, sample=[0.0])
    assert_nothing_left(clipper, "twice")
