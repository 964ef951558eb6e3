"""``clipper replay``: what another policy would have done, estimated from the feedback that there has been."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from clipper_admin.cli_commands import add_command
from clipper_admin.cli_terminal import Terminal

_SIGNALLED = 128


def add_to(app: typer.Typer) -> None:
    add_command(
        app,
        "replay",
        replay,
        "clipper replay digits.jsonl --policy hedge",
        "clipper replay digits.jsonl --policy hedge --params '{\"eta\": 0.5}' --policy exp3 --compare",
        "clipper replay digits.jsonl --policy exp3 --seeds 20 --delay 1000 --plot exp3.svg",
    )


def replay(
    terminal: Terminal,
    log: Annotated[
        str, typer.Argument(metavar="LOG", help="Exported feedback, JSON Lines or Parquet; - for standard input.")
    ],
    policy: Annotated[list[str], typer.Option(help="A policy to replay. Give it several times for a table of all.")],
    params: Annotated[
        list[str] | None,
        typer.Option(help="JSON object of a policy's parameters: the first is for the first policy, and so on."),
    ] = None,
    loss: Annotated[str, typer.Option(help="zero_one, absolute or squared.")] = "zero_one",
    loss_scale: Annotated[float, typer.Option(help="The largest error of a number that matters.")] = 1.0,
    with_shadows: Annotated[bool, typer.Option("--with-shadows", help="Shadow models can be selected, too.")] = False,
    users: Annotated[bool, typer.Option(help="A state for each user, or one for all.")] = True,
    seeds: Annotated[int, typer.Option(min=1, help="Replays of each policy; their results are averaged.")] = 1,
    delay: Annotated[int, typer.Option(min=0, help="A policy learns of each feedback this many later.")] = 0,
    compare: Annotated[bool, typer.Option("--compare", help="Show how far each is from what was answered.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the error over the log: .svg, .png or .pdf.")] = None,
) -> None:
    """Estimate the mean loss of policies from an exported feedback log, without asking a model."""
    options = [f"--loss={loss}", f"--loss-scale={loss_scale}", f"--seeds={seeds}", f"--delay={delay}"]
    options += [f"--policy={each}" for each in policy] + [f"--params={each}" for each in params or ()]
    options += ["--with-shadows"] * with_shadows + ["--compare"] * compare
    options += ["--users" if users else "--no-users", f"--output={'json' if terminal.is_json else 'text'}"]
    options += [] if plot is None else [f"--plot={plot}"]
    # A process of its own: the servers' code is nothing that this library imports.
    code = subprocess.run([sys.executable, "-m", "clipper.replay", *options, "--", log]).returncode
    if code:
        raise typer.Exit(code if code > 0 else _SIGNALLED - code)
