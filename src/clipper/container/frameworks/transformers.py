"""Pipelines of Hugging Face's Transformers, on PyTorch."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from clipper.container.manifest import usual_threads

os.environ["HF_HUB_OFFLINE"] = "1"  # everything is in the directory
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers

FOLDER: Final = "pipeline"
NOTE: Final = "transformers.json"
SETTINGS: Final = "transformers.pkl"
PARAMETERS: Final = ("_preprocess_params", "_forward_params", "_postprocess_params", "_batch_size")


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """The pipeline called with a list of the inputs, or the user's function of the pipeline and the inputs.

    It is on the GPU if there is one.

    Raises:
        ImportError: another version of Transformers saved the pipeline, and this one can't read it.
        Exception: whatever else loading raises.
    """
    torch.set_num_threads(usual_threads())
    note = json.loads((directory / NOTE).read_text(encoding="utf-8"))
    try:
        pipeline = load_pipeline(directory, note["task"])
    except ImportError:
        raise
    except Exception as error:
        if note["version"] == transformers.__version__:
            raise
        raise ImportError(
            f"the pipeline was saved with Transformers {note['version']}, and {transformers.__version__}, which is "
            f"installed here, can't read it ({error}): pass pkgs_to_install=['transformers=={note['version']}']",
            name="transformers",
        ) from error
    if function is not None:
        return lambda inputs: function(pipeline, inputs)
    return lambda inputs: call(pipeline, inputs)


def load_pipeline(directory: Path, task: str) -> Any:
    """As it was made in the session, with what was set there of how it is called."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = transformers.pipeline(task, model=str(directory / FOLDER), device=device)
    for name, value in pickle.loads((directory / SETTINGS).read_bytes()).items():
        setattr(pipeline, name, value)
    return pipeline


def call(pipeline: Any, inputs: Any) -> list[Any]:
    """One output for each input; bytes are given as such, numbers as an array."""
    items = [each.tobytes() if isinstance(each, np.ndarray) and each.dtype == np.uint8 else each for each in inputs]
    if pipeline.task == "fill-mask" and len(items) == 1:  # a list of one it answers like a text without a list
        return [pipeline(items[0])]
    return [each.tolist() if isinstance(each, torch.Tensor) else each for each in pipeline(items)]
