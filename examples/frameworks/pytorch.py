"""A network of PyTorch behind a REST endpoint: what is served equals what the model says here.

    python examples/frameworks/pytorch.py

Needs: pip install torch scikit-learn. The cluster is one of its own, on free ports, and is stopped at the end.
"""

import os
import sys

sys.path.pop(0)  # this file's folder, in which what PyTorch looks for, such as onnx, would be another example

import numpy as np
import torch
from sklearn.datasets import load_digits

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import pytorch as deployer


class Net(torch.nn.Module):
    """Defined here, and carried to where it is served."""

    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(64, 32)
        self.last = torch.nn.Linear(32, 10)

    def forward(self, images):
        return self.last(torch.relu(self.hidden(images / 16)))


def label(model, inputs):
    with torch.inference_mode():
        return model(torch.from_numpy(inputs.astype(np.float32))).argmax(1).tolist()


def main():
    data, labels = load_digits(return_X_y=True)
    model, new = train(data[:1500], labels[:1500]), data[1500:]
    clipper_conn = ClipperConnection(LocalContainerManager(f"pytorch-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        deployer.create_endpoint(clipper_conn, "digits", "doubles", label, model, sample=new[0])
        answers = clipper_conn.predict_batch("digits", new.tolist())
        served = [answer["output"] for answer in answers]
        assert served == label(model, new)
        right = np.mean(np.array(served) == labels[1500:])
        print(f"{len(served)} images: served equals local, {right:.0%} of them right")
    finally:
        clipper_conn.stop_all()


def train(data, labels):
    torch.manual_seed(1)
    model = Net()
    images, wanted = torch.tensor(data, dtype=torch.float32), torch.tensor(labels)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(50):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), wanted).backward()
        optimizer.step()
    return model.eval()


if __name__ == "__main__":
    main()
