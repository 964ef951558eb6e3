"""PyTorch: modules, TorchScript and exported programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cloudpickle
import torch

from clipper.container.manifest import usual_threads

MODULE: Final = "pytorch_model.pkl"
WEIGHTS: Final = "pytorch_weights.pkl"
SCRIPT: Final = "pytorch_script.pt"
PROGRAM: Final = "pytorch_program.pt2"
NOTE: Final = "pytorch.json"


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """The model called with a tensor of the batch, or the user's function of the model and the inputs.

    The model is on the GPU if there is one.

    Raises:
        ImportError: a package is missing, or another version of PyTorch saved the model and this one can't read it.
        Exception: whatever else loading raises.
    """
    torch.set_num_threads(usual_threads())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    saved_with = json.loads((directory / NOTE).read_text(encoding="utf-8"))["version"]
    try:
        model = load_model(directory, device)
    except ImportError:
        raise
    except Exception as error:
        if saved_with == torch.__version__:
            raise
        raise ImportError(
            f"the model was saved with PyTorch {saved_with}, and {torch.__version__}, which is installed here, can't "
            f"read it ({error}): pass pkgs_to_install=['torch=={saved_with.partition('+')[0]}']",
            name="torch",
        ) from error
    if function is not None:
        return lambda inputs: without_tensors(function(model, inputs))
    kind = input_kind(model)
    return lambda inputs: call(model, inputs, device, kind)


def load_model(directory: Path, device: torch.device) -> Any:
    """Whichever of the three is in the directory, ready to answer on ``device``."""
    if (directory / SCRIPT).exists():
        return torch.jit.load(directory / SCRIPT, map_location=device).eval()
    if (directory / PROGRAM).exists():
        program = torch.export.load(directory / PROGRAM)
        if device.type != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        return program.module()
    return _load_module(directory).to(device).eval()


def input_kind(model: Any) -> torch.dtype:
    """What a model takes: whole numbers if it begins with an embedding, else numbers of the type of its weights."""
    for module in model.modules():
        weight = next(module.parameters(recurse=False), None)
        if weight is not None:
            is_embedding = "Embedding" in getattr(module, "original_name", type(module).__name__)
            return torch.int64 if is_embedding else weight.dtype if weight.is_floating_point() else torch.float32
    return torch.float32


def call(model: Any, inputs: Any, device: torch.device, kind: torch.dtype = torch.float32) -> list[Any]:
    """What the model answers to a tensor of the batch, of the type ``kind``, as a list."""
    if inputs.dtype == object:
        raise ValueError("the inputs of this batch are not numbers of equal lengths: a tensor can't be made of them")
    with torch.inference_mode():
        answers = model(torch.from_numpy(inputs.astype(inputs.dtype)).to(device, kind))
    if not isinstance(answers, torch.Tensor):
        raise TypeError(
            f"the model returned a {type(answers).__name__}, not a tensor: pass func=, called with the model and the "
            "inputs, and return one output for each"
        )
    return answers.tolist() if answers.ndim else [answers.item()]


def without_tensors(outputs: Any) -> Any:
    """Lists in the place of tensors, also of those in a list."""
    if isinstance(outputs, torch.Tensor):
        return outputs.tolist()
    if isinstance(outputs, list | tuple):
        return [each.tolist() if isinstance(each, torch.Tensor) else each for each in outputs]
    return outputs


def _load_module(directory: Path) -> Any:
    modules = str(directory / "modules")
    if modules not in sys.path:
        sys.path.insert(0, modules)
    with (directory / MODULE).open("rb") as pickled:
        module = cloudpickle.load(pickled)
    weights = torch.load(directory / WEIGHTS, map_location="cpu", weights_only=True)
    module.load_state_dict(weights, assign=True)
    return module
