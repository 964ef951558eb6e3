"""From a model directory to a container that serves it."""

from __future__ import annotations

import os
import platform
import time

import numpy as np

from clipper.container.batch import Model
from clipper.container.load import Function, advise, load_model
from clipper.container.log import format_traceback, log
from clipper.container.manifest import Manifest
from clipper.container.metrics import REGISTRY
from clipper.container.runtime import Runtime
from clipper.container.sample import try_sample
from clipper.container.settings import MISSING_PACKAGE, WRONG, Settings
from clipper.container.stand_in import stand_in
from clipper.rpc.wire import Hello


def serve(settings: Settings, manifest: Manifest) -> int:
    """Loads the model, tries it on its sample, serves until SIGTERM; the exit code of the process."""
    stand_in()
    doing = f"load the model from {settings.model_path}"
    try:
        function = _load(settings, manifest)
        if manifest.sample is not None:
            doing = "answer the sample that the model was deployed with"
            try_sample(function, manifest.sample, settings.input_type)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a model that calls sys.exit() at import, too
        log(f"Can't {doing}:\n{format_traceback(error)}", "error")
        if advice := advise(error):
            log(advice, "error")
        return MISSING_PACKAGE if isinstance(error, ImportError) else WRONG
    _run(settings, function)
    return 0


def _load(settings: Settings, manifest: Manifest) -> Function:
    log(
        f"Loading {settings.model_name}:{settings.model_version} from {settings.model_path} "
        f"(Python {platform.python_version()}, numpy {np.__version__}, process {os.getpid()})"
    )
    began = time.monotonic()
    function = load_model(settings.model_path, manifest)
    log(f"Loaded {settings.model_name}:{settings.model_version} in {time.monotonic() - began:.2f} s")
    return function


def _run(settings: Settings, function: Function) -> None:
    model = Model(function, settings.input_type)
    metrics = _serve_metrics(settings, model)
    hello = Hello(
        model_name=settings.model_name,
        model_version=settings.model_version,
        input_type=settings.input_type.value,
        replica_id=settings.replica_id,
        pid=os.getpid(),
        metrics=metrics,
    )
    runtime = Runtime(model, hello, settings.addresses)
    log(f"Serving predictions for {settings.input_type.value} input type.")
    runtime.serve()


def _serve_metrics(settings: Settings, model: Model) -> str | None:
    """Starts to serve the metrics, if they are wanted; their address."""
    labels = {"model": settings.model_name, "version": settings.model_version}
    if settings.replica_id is not None:
        labels["replica"] = str(settings.replica_id)
    REGISTRY.labels = labels
    if settings.metrics is None:
        return None
    from clipper.container.metrics_server import open_metrics  # takes a while to import

    server = open_metrics(settings.metrics, lambda: model.metrics.render(labels) + REGISTRY.render())
    if server is None:
        return None
    os.register_at_fork(after_in_child=server.abandon)
    return server.address
