"""JAX: a function and its parameters, a tree of arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cloudpickle
import numpy as np

from clipper.container.manifest import usual_threads

os.environ.setdefault("PJRT_NPROC", str(usual_threads()))  # read when JAX first uses the processor
os.environ.setdefault("NPROC", str(usual_threads()))
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # replicas may share a GPU

import jax

PARAMS: Final = "jax_params.pkl"
NOTE: Final = "jax.json"


def load(directory: Path, function: Callable[..., Any] | None) -> Callable[[Any], Any]:
    """The user's function of the parameters and the inputs.

    Raises:
        ValueError: there is no function.
        TypeError: the parameters are of a class that JAX does not know here.
        Exception: whatever else loading raises.
    """
    if function is None:
        raise ValueError("a model of JAX needs a function, and there is none in its directory: deploy it again")
    note = json.loads((directory / NOTE).read_text(encoding="utf-8"))
    jax.config.update("jax_enable_x64", note["x64"])
    with (directory / PARAMS).open("rb") as pickled:
        params = jax.tree.map(restored, cloudpickle.load(pickled))
    return lambda inputs: without_device(function(params, inputs))


def restored(leaf: Any) -> Any:
    """An array of JAX for one of numpy; numbers of Python stay, as JAX gives them no type of their own."""
    if isinstance(leaf, np.ndarray):
        return jax.numpy.asarray(leaf)
    if isinstance(leaf, bool | int | float | complex):
        return leaf
    raise TypeError(
        f"the parameters hold a {type(leaf).__qualname__}, which is no node of a tree for JAX here: register "
        "the class in a module that defines it, beside your script, not in the session"
    )


def without_device(outputs: Any) -> Any:
    """numpy's arrays in the place of JAX's, also of those in a list."""
    if isinstance(outputs, jax.Array):
        return np.asarray(outputs)
    if isinstance(outputs, list | tuple):
        return [np.asarray(each) if isinstance(each, jax.Array) else each for each in outputs]
    return outputs
