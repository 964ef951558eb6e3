"""The commands of ``clipper``: the options that all have, and how each ends."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from clipper_admin.cli_terminal import DEFAULT_CLUSTER, FAILED, Kind, Output, Terminal, log_lines, show_error
from clipper_admin.exceptions import ClipperException

TERMINATED: Final = 128 + signal.SIGTERM
_EVERYWHERE: Final = "Options of every command"


def add_command(app: typer.Typer, name: str, function: Callable[..., None], *examples: str) -> None:
    """Makes ``function(terminal, ...)`` a command, with the options that all commands have."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

    def run(context: typer.Context, **given: Any) -> None:
        terminal = _terminal(**{name: given.pop(name) for name in _SHARED} | _given_before(context))
        _run(lambda: function(terminal, **given))

    _as_declared(run, own)
    app.command(name, help=inspect.getdoc(function), epilog="\n\n".join(["Examples:", *examples]))(run)


def add_options(app: typer.Typer, function: Callable[..., None]) -> None:
    """Makes ``function(...)`` take the options before any command; those of every command may stand there, too."""
    own = inspect.signature(function, eval_str=True).parameters

    def run(context: typer.Context, **given: Any) -> None:
        function(**{name: given[name] for name in own})

    _as_declared(run, list(own.values()))
    app.callback(help=app.info.help)(run)


def _as_declared(run: Any, own: list[inspect.Parameter]) -> None:
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *own, *_SHARED.values()]
    run.__signature__ = inspect.Signature(parameters)
    run.__annotations__ = {each.name: each.annotation for each in parameters}


def _given_before(context: typer.Context) -> dict[str, Any]:
    """What was said before the command, and not again after it."""

    def is_said(where: Any, name: str) -> bool:
        source = where.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    before = context.parent
    if before is None:
        return {}
    return {name: before.params[name] for name in _SHARED if is_said(before, name) and not is_said(context, name)}


def _terminal(
    cluster: Annotated[
        str, typer.Option(envvar="CLIPPER_CLUSTER", help="Name of the cluster.", rich_help_panel=_EVERYWHERE)
    ] = DEFAULT_CLUSTER,
    kind: Annotated[
        Kind,
        typer.Option(
            "--manager",
            envvar="CLIPPER_MANAGER",
            help="What runs the cluster: processes on this machine, or a Docker engine.",
            rich_help_panel=_EVERYWHERE,
        ),
    ] = Kind.LOCAL,
    home: Annotated[
        Path | None,
        typer.Option(envvar="CLIPPER_HOME", help="Folder of all clusters [~/.clipper].", rich_help_panel=_EVERYWHERE),
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="For people, or for programs.", rich_help_panel=_EVERYWHERE)
    ] = Output.TEXT,
) -> Terminal:
    return Terminal(cluster, kind, home, output)


_SHARED: Final = inspect.signature(_terminal, eval_str=True).parameters
"""The options of every command."""


def _run(step: Callable[[], None]) -> None:
    """Runs a command; what it raises on purpose becomes one block on standard error and exit code 1."""
    with log_lines(), _sigterm_raises():
        try:
            step()
        except ClipperException as error:
            show_error(error.msg)
            raise typer.Exit(FAILED) from None
        except _Terminated:
            raise typer.Exit(TERMINATED) from None
        except BrokenPipeError:
            _discard_output()  # its reader has seen enough and left, as `head` does


class _Terminated(BaseException):
    """SIGTERM came: everything under way cleans up as after Ctrl-C."""


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not for this thread
        return

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)  # a second one must not cut the cleaning up short
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _discard_output() -> None:
    """What is still to be flushed at exit goes nowhere, instead of failing again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
