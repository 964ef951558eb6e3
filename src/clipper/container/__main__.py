"""``python clipper-container.pyz``: reads the environment, loads the model, serves it.

Exit codes: 0 after SIGTERM, 1 for wrong settings or a model that can't be loaded, 3 for a missing package.
"""

from __future__ import annotations

import ctypes
import faulthandler
import io
import os
import signal
import sys
from typing import Final

from clipper.container.init import leave_first_place
from clipper.container.log import log
from clipper.container.manifest import Manifest, give_way, read_manifest, take_place
from clipper.container.settings import MISSING_PACKAGE, WRONG, Settings, SettingsError, read_settings

_PR_SET_PDEATHSIG: Final = 1
_STDIN: Final = 0


def main() -> int:
    """Returns the exit code of the process."""
    leave_first_place()
    _prepare_process()
    try:
        settings = read_settings(os.environ)
        manifest = read_manifest(settings.model_path)
        take_place(manifest, settings.replica_id, os.environ)
    except (SettingsError, ValueError, OSError) as error:
        log(f"ERROR: {error}", "error")
        return WRONG
    return _run_other(manifest) if manifest.command else _serve(settings, manifest)


def _run_other(manifest: Manifest) -> int:
    log(f"Running {' '.join(manifest.command)}")
    try:
        give_way(manifest, os.environ)
    except OSError as error:
        log(f"ERROR: {manifest.command[0]} can't be run ({error.strerror}): install it where the models run", "error")
    return WRONG


def _serve(settings: Settings, manifest: Manifest) -> int:
    """Imports numpy only now that the threads it may have are known."""
    try:
        from clipper.container.serving import serve
    except ImportError as missing:
        log(f"The model's environment lacks what the container needs: {missing}", "error")
        if missing.name:
            advice = f"pass pkgs_to_install=[{missing.name!r}] when deploying"
            log(f"Missing package {missing.name!r}: {advice}", "error")
        return MISSING_PACKAGE
    return serve(settings, manifest)


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


if __name__ == "__main__":
    raise SystemExit(main())
