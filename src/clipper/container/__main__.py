"""``python clipper-container.pyz``: reads the environment, loads the model, serves it.

Exit codes: 0 after SIGTERM, 1 for wrong settings or a model that can't be loaded, 3 for a missing package.
"""

from __future__ import annotations

import ctypes
import faulthandler
import io
import os
import platform
import signal
import sys
import time
from typing import Final

from clipper.container.log import format_traceback, log
from clipper.container.settings import Settings, SettingsError, read_settings
from clipper.rpc.wire import Hello

try:
    import numpy as np

    from clipper.container.batch import Model
    from clipper.container.load import Function, advise, load_function
    from clipper.container.runtime import Runtime
except ImportError as missing:
    log(f"The model's environment lacks what the container needs: {missing}")
    log(f"Missing package {missing.name!r}: pass pkgs_to_install=[{missing.name!r}] when deploying")
    raise SystemExit(3) from None

WRONG: Final = 1
MISSING_PACKAGE: Final = 3
_PR_SET_PDEATHSIG: Final = 1
_STDIN: Final = 0


def main() -> int:
    """Returns the exit code of the process."""
    _prepare_process()
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        log(f"ERROR: {error}")
        return WRONG
    try:
        function = _load(settings)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a model that calls sys.exit() at import, too
        log(f"Can't load the model from {settings.model_path}:\n{format_traceback(error)}")
        if advice := advise(error):
            log(advice)
        return MISSING_PACKAGE if isinstance(error, ImportError) else WRONG
    _serve(settings, function)
    return 0


def _prepare_process() -> None:
    _detach_stdin()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until the model is loaded, SIGTERM ends the process at once
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    if os.environ.get("CLIPPER_DIE_WITH_PARENT") == "1" and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _detach_stdin() -> None:
    """A model that reads its input, or breaks into a debugger, meets the end of it at once.

    Who started us may hold the other end of a pipe, and never write: that would block the replica for good.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing != _STDIN:
        os.dup2(nothing, _STDIN)
        os.close(nothing)


def _load(settings: Settings) -> Function:
    log(
        f"Loading {settings.model_name}:{settings.model_version} from {settings.model_path} "
        f"(Python {platform.python_version()}, numpy {np.__version__}, process {os.getpid()})"
    )
    began = time.monotonic()
    function = load_function(settings.model_path)
    log(f"Loaded {settings.model_name}:{settings.model_version} in {time.monotonic() - began:.2f} s")
    return function


def _serve(settings: Settings, function: Function) -> None:
    hello = Hello(
        model_name=settings.model_name,
        model_version=settings.model_version,
        input_type=settings.input_type.value,
        replica_id=settings.replica_id,
        pid=os.getpid(),
    )
    runtime = Runtime(Model(function, settings.input_type), hello, settings.addresses)
    log(f"Serving predictions for {settings.input_type.value} input type.")
    runtime.serve()


if __name__ == "__main__":
    raise SystemExit(main())
