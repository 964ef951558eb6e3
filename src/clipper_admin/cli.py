"""The ``clipper`` command."""

from __future__ import annotations

from typing import Annotated

import typer

from clipper_admin import cli_applications, cli_cluster, cli_metrics, cli_models, cli_replay, cli_selection
from clipper_admin.cli_commands import add_options
from clipper_admin.version import __version__

app = typer.Typer(
    name="clipper",
    help="Serve predictions: start a cluster, deploy models to it, query them.",
    epilog="Begin with: clipper quickstart",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)  # noqa: T201
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options before any command."""


add_options(app, _options)
for commands in (cli_cluster, cli_applications, cli_models, cli_selection, cli_replay, cli_metrics):
    commands.add_to(app)


def main() -> None:
    """Runs the command line; exits 0 if all went well, 1 if it failed, 2 if it was not understood."""
    app()


if __name__ == "__main__":
    main()
