"""ONNX: what is served is what ONNX Runtime, or the model it was made of, says here."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clipper_admin import ClipperException
from clipper_admin.deployers import onnx as deployer
from tests.frameworks.conftest import assert_same_answers

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
needs_torch = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("torch", "onnxscript"))), reason="needs torch and onnxscript"
)


@pytest.fixture(scope="module")
def digits():
    data, labels = load_digits(return_X_y=True)
    return data[:1000].astype(np.float32), labels[:1000], data[1000:1256].astype(np.float32)


@pytest.fixture(scope="module")
def classifier(digits):
    data, labels, _ = digits
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(data, labels)


def converted(model, data, **options):
    skl2onnx = pytest.importorskip("skl2onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return skl2onnx.to_onnx(model, data[:1], **options)


@pytest.fixture(scope="module")
def proto(classifier, digits):
    return converted(classifier, digits[0])


def graph(operator, kind, shape, inputs=("x",), outputs=None):
    """A model of one node."""
    values = [onnx.helper.make_tensor_value_info(name, kind, shape) for name in inputs]
    result = onnx.helper.make_tensor_value_info("y", kind, outputs)
    node = onnx.helper.make_node(operator, list(inputs), ["y"])
    made = onnx.helper.make_graph([node], "graph", values, [result])
    return onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.heavy
def test_an_exported_model_of_sklearn_answers_its_labels(clipper, serve, digits, classifier, proto):
    deployer.deploy_onnx_model(clipper, "labels", 1, "doubles", proto)
    assert_same_answers(clipper, serve("labels"), digits[2], classifier.predict(digits[2]))


def test_a_file_is_deployed_by_its_path(clipper, serve, digits, classifier, proto, tmp_path):
    (tmp_path / "digits.onnx").write_bytes(proto.SerializeToString())
    deployer.deploy_onnx_model(clipper, "file", 1, "integers", tmp_path / "digits.onnx")
    assert_same_answers(clipper, serve("file", "integers"), digits[2].astype(int), classifier.predict(digits[2]))


def test_bytes_are_deployed_too_and_numbers_are_the_models(clipper, serve, digits):
    data, labels, new = digits
    model = Ridge().fit(data, labels)
    contents = converted(model, data).SerializeToString()
    deployer.deploy_onnx_model(clipper, "ridge", 1, "floats", contents)
    expected = onnxruntime.InferenceSession(contents).run(None, {"X": new})[0]
    np.testing.assert_allclose(expected[:, 0], model.predict(new), rtol=1e-3, atol=1e-3)  # it counts in float32
    assert_same_answers(clipper, serve("ridge", "floats"), new, expected, tolerance=1e-6)


def test_a_function_gets_the_session(clipper, digits, classifier):
    def odds(session, inputs):
        return session.run(["probabilities"], {"X": inputs.astype("float32")})[0].max(axis=1)

    model = converted(classifier, digits[0], options={"zipmap": False})
    deployer.create_endpoint(clipper, "odds", "doubles", model, func=odds)
    expected = odds(onnxruntime.InferenceSession(model.SerializeToString()), digits[2])
    assert_same_answers(clipper, "odds", digits[2], expected, tolerance=1e-6)


def test_weights_in_a_file_of_their_own_come_along(clipper, serve, digits, tmp_path):
    weights = np.arange(640, dtype=np.float32).reshape(64, 10) / 100
    model = graph("MatMul", onnx.TensorProto.FLOAT, [None, 64], ("x", "w"))
    del model.graph.input[1]
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size >= weights.nbytes
    deployer.deploy_onnx_model(clipper, "weights", 1, "floats", tmp_path / "m.onnx")
    assert_same_answers(clipper, serve("weights", "floats"), digits[2], digits[2] @ weights, tolerance=1e-5)


@pytest.mark.heavy
@pytest.mark.parametrize("rows", [1, 4])
def test_a_model_of_a_fixed_batch_and_of_images_gets_its_shape(clipper, serve, digits, rows):
    model = graph("Neg", onnx.TensorProto.DOUBLE, [rows, 1, 8, 8])
    deployer.deploy_onnx_model(clipper, f"images{rows}", 1, "floats", model)
    assert_same_answers(clipper, serve(f"images{rows}", "floats"), digits[2], -digits[2].reshape(-1, 1, 8, 8))


def test_texts_are_inputs_too(clipper, serve):
    model = graph("Identity", onnx.TensorProto.STRING, [None, 1])
    deployer.deploy_onnx_model(clipper, "texts", 1, "strings", model)
    texts = ["good", "bad", "ugly", "ünder", "2"]
    assert_same_answers(clipper, serve("texts", "strings"), texts, [["good"], ["bad"], ["ugly"], ["ünder"], ["2"]])


def test_a_truncated_file_is_refused(clipper, proto, tmp_path):
    contents = proto.SerializeToString()
    (tmp_path / "half.onnx").write_bytes(contents[: len(contents) // 2])
    with pytest.raises(ClipperException, match=r"half\.onnx is not a whole ONNX model"):
        deployer.deploy_onnx_model(clipper, "none", 1, "doubles", tmp_path / "half.onnx")
    with pytest.raises(ClipperException, match=r"ONNX Runtime .* can't load the model"):
        deployer.deploy_onnx_model(clipper, "none", 1, "doubles", contents[: len(contents) // 2])
    assert "none:1" not in clipper.get_all_models()


def two_inputs():
    return graph("Add", onnx.TensorProto.FLOAT, [None, 2], ("a", "b"))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: "/nowhere/model.onnx", "The ONNX file /nowhere/model.onnx can't be read: No such file"),
        (lambda: __file__, "is not a whole ONNX model"),
        (lambda: b"", "ONNX Runtime .* can't load the model"),
        (lambda: Ridge().fit([[1.0]], [1.0]), "not a sklearn.*Ridge: export it to ONNX"),
        (two_inputs, r"the model takes 2 inputs \(a, b\): pass func="),
        (lambda: graph("Not", onnx.TensorProto.BOOL, None, (), None), "can't load the model"),
    ],
)
def test_what_can_not_answer_is_refused_before_anything_starts(clipper, make, says):
    with pytest.raises(ClipperException, match=says):
        deployer.deploy_onnx_model(clipper, "none", 1, "doubles", make())
    assert "none:1" not in clipper.get_all_models()


def test_what_the_container_can_not_load_leaves_nothing_behind(clipper, monkeypatch):
    """As where ONNX Runtime is in the model's environment alone."""
    monkeypatch.setattr(deployer.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ClipperException, match=r"ONNX Runtime .* can't load the model"):
        deployer.deploy_onnx_model(clipper, "broken", 1, "doubles", b"no model")
    assert "broken:1" not in clipper.get_all_models()
    assert clipper.cm.get_num_replicas("broken", "1") == 0


def test_a_function_that_fails_on_the_sample_leaves_nothing_behind(clipper):
    with pytest.raises(ClipperException, match="Expected model to return 1 outputs, found 2 outputs"):
        deployer.deploy_onnx_model(
            clipper, "twice", 1, "doubles", two_inputs(), func=lambda session, inputs: [1, 2], sample=[1.0]
        )
    assert "twice:1" not in clipper.get_all_models()
    assert clipper.cm.get_num_replicas("twice", "1") == 0


@pytest.mark.frameworks
@needs_torch
@pytest.mark.filterwarnings("ignore")  # of the exporter's own
@pytest.mark.parametrize("examples", [1, 3])
def test_a_module_of_pytorch_is_exported(clipper, digits, examples):
    import torch

    torch.manual_seed(1)
    layers = [torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(16, 10)]
    module = torch.nn.Sequential(*layers)
    name = f"torch{examples}"
    deployer.create_pytorch_endpoint(clipper, name, "floats", torch.zeros(examples, 64), None, module)
    assert module.training
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(digits[2])).numpy()
    assert_same_answers(clipper, name, digits[2], expected, tolerance=1e-4)


@pytest.mark.frameworks
@needs_torch
@pytest.mark.filterwarnings("ignore")
def test_a_module_that_can_not_be_exported_is_refused(clipper):
    import torch

    class Odd(torch.nn.Module):
        def forward(self, given):
            return given if float(given.sum()) > 1 else -given

    with pytest.raises(ClipperException, match="Odd can't be exported to ONNX"):
        deployer.deploy_pytorch_model(clipper, "odd", 1, "floats", torch.zeros(2, 64), None, Odd())
    with pytest.raises(ClipperException, match=r"A torch.nn.Module is exported here, not a sklearn.*Ridge"):
        deployer.deploy_pytorch_model(clipper, "odd", 1, "floats", torch.zeros(2, 64), None, Ridge())
    assert "odd:1" not in clipper.get_all_models()
