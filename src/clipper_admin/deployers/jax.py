"""Deploys functions of JAX with their parameters, of Flax, Haiku, Equinox or one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.closure import save_pickle
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException

Function = Callable[[Any, Any], Any]


def deploy_jax_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    func: Function,
    params: Any,
    **options: Unpack[Options],
) -> None:
    """Deploys a function with its parameters, which are on the GPU if JAX has one where it runs.

    A function under ``jax.jit`` is compiled for each size of batch, which takes long: have it pad the inputs to a few
    sizes if batches vary.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles, bytes or strings.
        func: takes the parameters and a batch of inputs, a numpy array, and returns one output for each: an array or
            a list.
        params: a tree of arrays, such as ``model.init`` of Flax returns. Classes of one's own in it are to be
            registered with JAX by the module that defines them, which is carried.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no function, no tree of arrays; or what failed in the container.
    """
    framework.deploy(clipper_conn, name, version, input_type, _served(func, params), **options)


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    func: Function,
    params: Any,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the model under the same name and links them; all or nothing."""
    served = _served(func, params)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def _served(func: Function, params: Any) -> Served:
    if not callable(func):
        raise ClipperException(f"func must take the parameters and a batch of inputs, it is a {type(func).__name__}")
    _check(params)
    return Served("jax", func, lambda directory: _save(params, directory), ("params", "inputs"))


def _check(params: Any) -> None:
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise ClipperException(f"There are no arrays in params, a {type(params).__name__}: give a tree of arrays")
    for path, leaf in leaves:
        wrong = _is_wrong(leaf)
        if wrong:
            raise ClipperException(f"params{jax.tree_util.keystr(path)} is {wrong}: give a tree of arrays")


def _is_wrong(leaf: Any) -> str:
    """What a leaf is that is no array of numbers; empty if it is."""
    import jax
    import numpy as np

    if isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return "a key of random numbers, for which jax.random.key_data makes an array"
    if isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind in "OSUMm":
        return f"an array of {leaf.dtype}"
    if isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
        return ""
    return f"a {type(leaf).__module__}.{type(leaf).__qualname__}"


def _save(params: Any, directory: Path) -> None:
    """Arrays of numpy in the same tree, with the caller's own modules that the tree's classes need."""
    import jax
    import numpy as np

    from clipper.container.frameworks.jax import NOTE, PARAMS

    def plain(leaf: Any) -> Any:
        return leaf if isinstance(leaf, bool | int | float | complex) else np.asarray(leaf)

    found = jax.tree.map(plain, params)
    save_pickle(found, directory / PARAMS, "The tree of parameters")
    note = {"x64": bool(jax.config.jax_enable_x64)}
    (directory / NOTE).write_text(json.dumps(note), encoding="utf-8")
