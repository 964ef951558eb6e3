"""Deploys PyTorch's modules, TorchScript and exported programs."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Unpack

import cloudpickle

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import framework
from clipper_admin.deployers.closure import FunctionPickler
from clipper_admin.deployers.culprit import find_culprit
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.deployers.local_modules import copy_modules, find_modules, without_source
from clipper_admin.exceptions import ClipperException
from clipper_admin.log import SessionLogger

logger = SessionLogger(logging.getLogger(__name__))

Function = Callable[[Any, Any], Any]


def deploy_pytorch_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    func: Function | None,
    pytorch_model: Any,
    **options: Unpack[Options],
) -> None:
    """Deploys a model of PyTorch, which answers in eval mode, on the GPU if there is one where it runs.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles or bytes; strings only with ``func``.
        func: takes the model and a batch of inputs, a numpy array, and returns one output for each. None: the model
            is called with a float32 tensor of the batch, without gradients, and returns a tensor with a row for each.
        pytorch_model: an ``nn.Module`` (its class may be of the session or of a module beside it: it is carried), one
            of ``torch.jit.script`` or ``trace``, a program of ``torch.export.export``, or the path of a file of
            ``torch.jit.save`` or, with the suffix ``.pt2``, of ``torch.export.save``. Of ``torch.compile`` the
            original is deployed; of an exported program what was exported, be it in train or eval mode.
        options: see ``clipper_admin.deployers.framework.Options``.

    Raises:
        ClipperException: no such model, one that can't be saved or loaded; or what failed in the container.
    """
    served, options = _served(input_type, func, pytorch_model, options)
    framework.deploy(clipper_conn, name, version, input_type, served, **options)


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    func: Function | None,
    pytorch_model: Any,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the model under the same name and links them; all or nothing."""
    served, options = _served(input_type, func, pytorch_model, options)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def _served(input_type: str, func: Function | None, model: Any, options: Options) -> tuple[Served, Options]:
    import torch

    if func is None and input_type == "strings":
        raise ClipperException("PyTorch takes numbers: pass func= to make numbers of strings, or another input_type")
    if isinstance(model, str | os.PathLike):
        model, save = _from_file(Path(model))
    else:
        model = getattr(model, "_orig_mod", model)  # of torch.compile
        save = _saving(model)
    if func is None and isinstance(model, torch.export.ExportedProgram):
        width = _check_program(model)
        if width and input_type != "bytes" and options.get("sample") is None:
            options = {**options, "sample": [0] * width}
    return Served("pytorch", func, lambda directory: _save(save, directory)), options


def _from_file(file: Path) -> tuple[Any, Callable[[Path], None]]:
    import torch

    from clipper.container.frameworks.pytorch import PROGRAM, SCRIPT

    if not file.is_file():
        raise ClipperException(f"There is no file {file}: save the model there, or give the model")
    is_program = file.suffix == ".pt2"
    try:
        model = torch.export.load(file) if is_program else torch.jit.load(file, map_location="cpu")
    except Exception as error:
        wanted = "torch.export.save" if is_program else "torch.jit.save"
        way_out = "is it whole? Else load it in the session, and give the model"
        if not is_program and "constants.pkl" in str(error):
            way_out = "what torch.save wrote is loaded in the session: give the module with its weights"
        words = f"{type(error).__name__}: {error}".strip().splitlines()[0].rstrip(".")
        raise ClipperException(
            f"{file} is no file of {wanted} that PyTorch {torch.__version__} can load ({words}): {way_out}"
        ) from error
    target = PROGRAM if is_program else SCRIPT
    return model, lambda directory: _copy(file, directory / target)


def _copy(file: Path, target: Path) -> None:
    shutil.copyfile(file, target)


def _saving(model: Any) -> Callable[[Path], None]:
    """How to save a model of this kind."""
    import torch

    from clipper.container.frameworks.pytorch import PROGRAM, SCRIPT

    if isinstance(model, torch.jit.ScriptModule):
        return lambda directory: torch.jit.save(model, directory / SCRIPT)
    if isinstance(model, torch.export.ExportedProgram):
        return lambda directory: torch.export.save(model, directory / PROGRAM)
    if not isinstance(model, torch.nn.Module):
        given = model if isinstance(model, type) else type(model)
        raise ClipperException(
            f"A torch.nn.Module, TorchScript or an ExportedProgram is deployed here, not {_article(model)} "
            f"{given.__module__}.{given.__qualname__}: use the deployer of its framework, or "
            "clipper_admin.deployers.python for a function of it"
        )
    if any(torch.nn.parameter.is_lazy(each) for each in (*model.parameters(), *model.buffers())):
        raise ClipperException(
            f"{type(model).__name__} has lazy layers without weights yet: call it on a batch first"
        )
    return lambda directory: _save_module(model, directory)


def _article(model: object) -> str:
    return "the class" if isinstance(model, type) else "a"


def _check_program(program: Any) -> int:
    """That the program takes batches of any size; how many numbers a query holds, 0 if that is not told."""
    wanted = set(program.graph_signature.user_inputs)
    shapes = [
        node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder" and node.name in wanted
    ]
    if len(shapes) != 1 or not shapes[0]:
        raise ClipperException(
            f"The program takes {len(shapes)} inputs: pass func= to make them of a batch of queries"
        )
    rows, *others = shapes[0]
    if isinstance(rows, int):
        raise ClipperException(
            f"The program was exported for batches of {rows} and no others: export it with "
            "dynamic_shapes=({0: torch.export.Dim('batch')},) and an example of two inputs or more"
        )
    return others[0] if len(others) == 1 and isinstance(others[0], int) else 0


def _save(save: Callable[[Path], None], directory: Path) -> None:
    import torch

    from clipper.container.frameworks.pytorch import NOTE

    save(directory)
    (directory / NOTE).write_text(json.dumps({"version": torch.__version__}), encoding="utf-8")


def _save_module(model: Any, directory: Path) -> None:
    """The weights, the module without them, and the caller's own modules that its classes need."""
    import torch

    from clipper.container.frameworks.pytorch import MODULE, WEIGHTS

    torch.save(model.state_dict(), directory / WEIGHTS)
    needed = _pickle(model, directory / MODULE)
    by_value = without_source(needed)
    if by_value:
        needed = _pickle(model, directory / MODULE, by_value)
    modules = find_modules(needed)
    if modules:
        logger.info("Carrying local modules of the model: %s", ", ".join(sorted(modules)))
        copy_modules(modules.values(), directory / "modules")


class _Pickler(FunctionPickler):
    """Pickles others in the place of some objects; ``instead`` returns what it is given where there is none."""

    def __init__(self, file: Any, instead: Callable[[Any], Any]) -> None:
        super().__init__(file)
        self._instead = instead

    def reducer_override(self, obj: Any) -> Any:
        other = self._instead(obj)
        return super().reducer_override(obj) if other is obj else other.__reduce_ex__(4)


def _without_weights(model: Any) -> Callable[[Any], Any]:
    """A tensor of the state dict -> one of its shape without data; of a GPU -> of the processor, else the object."""
    import torch

    own = {id(each) for each in (*model.parameters(), *model.buffers())}
    bare: dict[int, Any] = {}
    for each in model.state_dict(keep_vars=True).values():
        if id(each) in own:
            empty = each.detach().to("meta")
            is_parameter = isinstance(each, torch.nn.Parameter)
            bare[id(each)] = torch.nn.Parameter(empty, each.requires_grad) if is_parameter else empty

    def instead(obj: Any) -> Any:
        if id(obj) in bare:
            return bare[id(obj)]
        return obj.cpu() if isinstance(obj, torch.Tensor) and obj.is_cuda else obj

    return instead


def _pickle(model: Any, file: Path, by_value: Iterable[str] = ()) -> set[str]:
    """Pickles the module without its weights; the names of the modules that the pickle needs."""
    try:
        with file.open("wb") as sink, ExitStack() as stack:
            for each in by_value:
                cloudpickle.register_pickle_by_value(sys.modules[each])
                stack.callback(cloudpickle.unregister_pickle_by_value, sys.modules[each])
            pickler = _Pickler(sink, _without_weights(model))
            pickler.dump(model)
    except Exception as error:
        raise ClipperException(
            f"The module {type(model).__qualname__} can't be pickled: {error}. {find_culprit(model)}"
        ) from error
    return pickler.modules
