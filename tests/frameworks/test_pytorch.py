"""PyTorch: what is served is what the model says here.

Labels are compared exactly, numbers within 1e-6: they are float32, which adds up in another order in a batch of
another size.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
import threading

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits

from clipper_admin import ClipperException
from clipper_admin.deployers import pytorch as deployer
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers, outputs

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is (deprecated|not supported):DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is (deprecated|not supported):FutureWarning"),
]
TOLERANCE = 1e-6
MODULE = """
import torch
from helper_of_nets import WIDTH

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(64, WIDTH)
        self.drop = torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(WIDTH, 10)
        self.register_buffer("scale", torch.tensor(16.0), persistent=False)

    def forward(self, images):
        return torch.softmax(self.last(self.drop(torch.relu(self.first(images / self.scale)))), 1)
"""


@pytest.fixture(scope="module")
def digits():
    data, labels = load_digits(return_X_y=True)
    return data[:1000], labels[:1000], data[1000:1256]


def fitted(model, data, labels):
    images, wanted = torch.tensor(data, dtype=torch.float32), torch.tensor(labels)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), wanted).backward()
        optimizer.step()
    return model


@pytest.fixture(scope="module")
def plain(digits):
    torch.manual_seed(1)
    layers = [torch.nn.Linear(64, 32), torch.nn.BatchNorm1d(32), torch.nn.ReLU(), torch.nn.Dropout(0.5)]
    return fitted(torch.nn.Sequential(*layers, torch.nn.Linear(32, 10), torch.nn.Softmax(1)), *digits[:2])


def numbers(model, inputs):
    """What the model says here, in eval mode; the model keeps its mode."""
    was = model.training
    with torch.inference_mode():
        found = model.eval()(torch.tensor(inputs, dtype=torch.float32)).numpy()
    model.train(was)
    return found


def label(model, inputs):
    with torch.inference_mode():
        return model(torch.from_numpy(inputs.astype("float32"))).argmax(1).tolist()


def test_a_module_answers_in_eval_mode_without_a_function(clipper, serve, digits, plain):
    new = digits[2]
    assert plain.training
    deployer.deploy_pytorch_model(clipper, "plain", 1, "doubles", None, plain)
    assert plain.training
    assert_same_answers(clipper, serve("plain"), new, numbers(plain, new), tolerance=TOLERANCE)


def test_a_function_makes_labels_of_a_model(clipper, digits, plain):
    new = digits[2].astype(np.float32)
    deployer.create_endpoint(clipper, "labels", "floats", label, plain, sample=new[0])
    assert_same_answers(clipper, "labels", new, numbers(plain, new).argmax(1))


def test_a_class_of_a_module_beside_the_session_is_carried(clipper, serve, digits, tmp_path, monkeypatch):
    (tmp_path / "nets_of_digits.py").write_text(MODULE)
    (tmp_path / "helper_of_nets.py").write_text("WIDTH = 24")
    monkeypatch.syspath_prepend(tmp_path)
    import nets_of_digits

    torch.manual_seed(2)
    model = fitted(nets_of_digits.Net(), *digits[:2])
    deployer.deploy_pytorch_model(clipper, "carried", 1, "doubles", None, model)
    new = digits[2]
    assert_same_answers(clipper, serve("carried"), new, numbers(model, new), tolerance=TOLERANCE)


def test_a_class_of_a_notebook_is_carried_with_the_weights_that_layers_share(clipper, serve, digits):
    spec = importlib.util.spec_from_loader("cell_of_a_notebook", loader=None)
    cell = importlib.util.module_from_spec(spec)
    sys.modules["cell_of_a_notebook"] = cell
    try:
        exec(MODULE.replace("from helper_of_nets import WIDTH", "WIDTH = 10"), cell.__dict__)
        torch.manual_seed(3)
        model = fitted(cell.Net(), *digits[:2])
        model.last.bias = model.first.bias
        del cell.__spec__  # as of a module made by hand
        deployer.deploy_pytorch_model(clipper, "cell", 1, "doubles", label, model)
    finally:
        del sys.modules["cell_of_a_notebook"]
    new = digits[2]
    assert_same_answers(clipper, serve("cell"), new, numbers(model, new).argmax(1))


def test_torchscript_is_deployed_as_an_object_and_as_a_file(clipper, serve, digits, plain, tmp_path):
    new = digits[2]
    script = torch.jit.script(plain)
    deployer.deploy_pytorch_model(clipper, "script", 1, "doubles", None, script)
    assert_same_answers(clipper, serve("script"), new, numbers(plain, new), tolerance=TOLERANCE)
    torch.jit.save(script, tmp_path / "digits.pt")
    deployer.deploy_pytorch_model(clipper, "script-file", 1, "doubles", label, tmp_path / "digits.pt")
    assert_same_answers(clipper, serve("script-file"), new, numbers(plain, new).argmax(1))


def exported(model, **options):
    was = model.training
    program = torch.export.export(model.eval(), (torch.zeros(2, 64),), **options)
    model.train(was)
    return program


def test_an_exported_program_is_deployed_as_an_object_and_as_a_file(clipper, serve, digits, plain, tmp_path):
    new = digits[2]
    program = exported(plain, dynamic_shapes=({0: torch.export.Dim("batch")},))
    deployer.deploy_pytorch_model(clipper, "program", 1, "doubles", None, program)
    assert_same_answers(clipper, serve("program"), new, numbers(plain, new), tolerance=TOLERANCE)
    torch.export.save(program, tmp_path / "digits.pt2")
    deployer.deploy_pytorch_model(clipper, "program-file", 1, "doubles", label, str(tmp_path / "digits.pt2"))
    assert_same_answers(clipper, serve("program-file"), new, numbers(plain, new).argmax(1))


def test_of_a_compiled_module_the_original_is_deployed(clipper, serve, digits, plain):
    new = digits[2]
    deployer.deploy_pytorch_model(clipper, "compiled", 1, "doubles", label, torch.compile(plain))
    assert_same_answers(clipper, serve("compiled"), new, numbers(plain, new).argmax(1))


class Locked(torch.nn.Linear):
    def __init__(self):
        super().__init__(1, 1)
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("make", "input_type", "says"),
    [
        (lambda: len, "doubles", "A torch.nn.Module, .* not a builtins.builtin_function_or_method: use the deployer"),
        (lambda: torch.nn.ReLU, "doubles", "not the class torch.nn.modules.activation.ReLU"),
        (lambda: torch.nn.ReLU().state_dict(), "doubles", "not a collections.OrderedDict"),
        (lambda: torch.nn.ReLU(), "strings", "PyTorch takes numbers: pass func="),
        (lambda: torch.nn.LazyLinear(1), "doubles", "LazyLinear has lazy layers without weights yet"),
        (lambda: Locked(), "doubles", "The module Locked can't be pickled: .*attribute 'lock' .a _thread.lock."),
        (lambda: exported(torch.nn.ReLU()), "doubles", "exported for batches of 2 and no others"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_what_can_not_answer_is_refused_before_anything_starts(clipper, make, input_type, says):
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "none", input_type, None, make())
    assert_nothing_left(clipper, "none")


def write_truncated(file, model):
    torch.jit.save(torch.jit.script(model), file)
    file.write_bytes(file.read_bytes()[:-500])


@pytest.mark.parametrize(
    ("file", "write", "says"),
    [
        ("missing.pt", lambda file, model: None, "There is no file .*missing.pt"),
        ("cut.pt", write_truncated, "cut.pt is no file of torch.jit.save that PyTorch .* can load"),
        ("cut.pt2", write_truncated, "cut.pt2 is no file of torch.export.save that PyTorch .* can load"),
        ("empty.pt", lambda file, model: file.touch(), "empty.pt is no file of torch.jit.save"),
        ("list.joblib", lambda file, model: joblib.dump([1], file), "list.joblib is no file of torch.jit.save"),
        (
            "weights.pt",
            lambda file, model: torch.save(model.state_dict(), file),
            "what torch.save wrote is loaded in the session",
        ),
    ],
)
def test_a_file_that_is_no_model_is_refused_before_anything_starts(clipper, plain, tmp_path, file, write, says):
    write(tmp_path / file, plain)
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "none", "doubles", None, tmp_path / file)
    assert_nothing_left(clipper, "none")


@pytest.mark.parametrize(
    ("func", "says"),
    [
        (lambda model, inputs: [1, 2], "Expected model to return 1 outputs, found 2 outputs"),
        (lambda model, inputs: model(inputs), "must be Tensor, not"),
        (None, "mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_what_fails_on_the_sample_leaves_nothing_behind(clipper, plain, func, says):
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "wrong", "doubles", func, plain, sample=[0.0] * 63)
    assert_nothing_left(clipper, "wrong")


NAMES = itertools.count()


def embedding():
    return torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Flatten(), torch.nn.Linear(12, 2))


@pytest.mark.parametrize(
    ("make", "input_type"),
    [
        (lambda: torch.nn.Linear(3, 2).double(), "doubles"),
        (lambda: torch.nn.Linear(3, 2), "integers"),
        (lambda: embedding(), "integers"),
        (lambda: torch.jit.script(embedding()), "integers"),
    ],
)
def test_a_model_gets_numbers_of_the_type_it_takes(clipper, serve, make, input_type):
    torch.manual_seed(1)
    model, name = make().eval(), f"kind{next(NAMES)}"
    inputs = [[1, 2, 3], [4, 5, 6]]
    first = next(model.parameters())
    kind = torch.int64 if first.shape == (10, 4) else first.dtype
    with torch.no_grad():
        expected = model(torch.tensor(inputs, dtype=kind)).tolist()
    deployer.deploy_pytorch_model(clipper, name, 1, input_type, None, model, sample=[1, 2, 3])
    np.testing.assert_allclose(outputs(clipper, serve(name, input_type), inputs), expected, rtol=1e-6, atol=1e-6)
