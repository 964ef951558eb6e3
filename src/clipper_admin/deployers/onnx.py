"""Deploys ONNX models, and PyTorch modules as such, on ONNX Runtime."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException

Function = Callable[[Any, Any], Any]
FILE: Final = "model.onnx"  # as in clipper.container.frameworks.onnx, which needs ONNX Runtime


def deploy_onnx_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    model: Any,
    func: Function | None = None,
    **options: Unpack[Options],
) -> None:
    """Deploys an ONNX model; what it answers is its first output for the inputs.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles, bytes or strings; cast and shaped as the model takes it.
        model: the path of an ONNX file, an ``onnx.ModelProto``, or the bytes of either.
        func: takes an ``onnxruntime.InferenceSession`` and a batch of inputs, returns one output for each.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no file, no ONNX model, several inputs and no ``func``; or what failed in the container.
    """
    served, options = _served(input_type, _contents(model), func, options)
    framework.deploy(clipper_conn, name, version, input_type, served, **options)


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    model: Any,
    func: Function | None = None,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the model under the same name and links them; all or nothing."""
    served, options = _served(input_type, _contents(model), func, options)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def deploy_pytorch_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    inputs: Any,
    func: Function | None,
    pytorch_model: Any,
    **options: Unpack[Options],
) -> None:
    """Exports a PyTorch module to ONNX and deploys that: the container needs no PyTorch.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles, bytes or strings.
        inputs: an example batch that the module takes, a tensor or a tuple of them; their first dimension is the
            batch's.
        func: as of ``deploy_onnx_model``; None for the first output.
        pytorch_model: a ``torch.nn.Module``; it is exported as it predicts, not as it trains.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no module, it can't be exported, PyTorch or onnxscript is missing; or what failed in the
            container.
    """
    served, options = _served(input_type, _export(pytorch_model, inputs), func, options)
    framework.deploy(clipper_conn, name, version, input_type, served, **options)


def create_pytorch_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    inputs: Any,
    func: Function | None,
    pytorch_model: Any,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the module under the same name and links them; all or nothing."""
    served, options = _served(input_type, _export(pytorch_model, inputs), func, options)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def _served(input_type: str, contents: bytes, func: Function | None, options: Options) -> tuple[Served, Options]:
    if importlib.util.find_spec("onnxruntime"):  # or the model's own environment has it, and tells what is wrong
        width = _check(contents, func is None)
        if width and input_type not in ("strings", "bytes") and options.get("sample") is None:
            options = {**options, "sample": [0] * width}
    return Served("onnx", func, lambda directory: _save(contents, directory)), options


def _check(contents: bytes, alone: bool) -> int | None:
    """How many numbers a query holds, where the model answers alone and takes no other number of them."""
    from clipper.container.frameworks.onnx import Answer, open_session

    try:
        session = open_session(contents)
        return Answer(session).width if alone else None
    except ValueError as error:
        raise ClipperException(f"The model can't be served: {error}") from error


def _contents(model: Any) -> bytes:
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model)
    if isinstance(model, (str, os.PathLike)):
        return _read(Path(model))
    if type(model).__name__ != "ModelProto" or not hasattr(model, "SerializeToString"):
        raise ClipperException(
            "The path of an ONNX file, an onnx.ModelProto or bytes are deployed here, not a "
            f"{type(model).__module__}.{type(model).__qualname__}: export it to ONNX, or use the deployer of its "
            "framework"
        )
    return _serialized(model)


def _serialized(model: Any) -> bytes:
    try:
        contents: bytes = model.SerializeToString()
    except Exception as error:  # beyond the 2 GB that protobuf takes
        raise ClipperException(f"The ONNX model can't be serialized: {error}") from error
    return contents


def _read(file: Path) -> bytes:
    """Of the file, with the weights that it keeps in others if the package onnx is here to find them."""
    try:
        contents = file.read_bytes()
    except OSError as error:
        raise ClipperException(f"The ONNX file {file} can't be read: {error.strerror}") from error
    if not importlib.util.find_spec("onnx"):
        return contents
    import onnx
    from onnx.external_data_helper import uses_external_data

    try:
        model = onnx.load_model_from_string(contents)
        if not any(map(uses_external_data, model.graph.initializer)):
            return contents
        return _serialized(onnx.load_model(file))
    except ClipperException:
        raise
    except Exception as error:
        raise ClipperException(f"{file} is not a whole ONNX model: {error}") from error


def _export(model: Any, inputs: Any) -> bytes:
    try:
        import torch
    except ImportError as missing:
        raise ClipperException(f"PyTorch is needed to export a model of it ({missing}): install torch") from missing
    if not isinstance(model, torch.nn.Module):
        raise ClipperException(
            f"A torch.nn.Module is exported here, not a {type(model).__module__}.{type(model).__qualname__}"
        )
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    example = tuple(_example(torch.as_tensor(each)) for each in given)
    training = model.training
    model.eval()
    try:
        return _exported(torch, model, example)
    except Exception as error:
        raise ClipperException(
            f"{type(model).__name__} can't be exported to ONNX: {type(error).__name__}: {error}"
        ) from error
    finally:
        model.train(training)


def _exported(torch: Any, model: Any, example: tuple[Any, ...]) -> bytes:
    """By the exporter that needs onnxscript, for batches of any size."""
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        model, example, dynamo=True, verbose=False, dynamic_shapes=tuple({0: batch} for _ in example)
    )
    sink = io.BytesIO()
    program.save(sink)
    return sink.getvalue()


def _example(tensor: Any) -> Any:
    """At least two queries: an export takes the size 1 for one that never changes."""
    return tensor if len(tensor) > 1 else tensor.repeat(2, *[1] * (tensor.ndim - 1))


def _save(contents: bytes, directory: Path) -> None:
    (directory / FILE).write_bytes(contents)
