"""``python -m clipper.replay LOG --policy NAME``: what ``clipper replay`` runs. ``docs/replay.md`` explains it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clipper.errors import BadRequest, ClipperError
from clipper.replay import log, plot, report
from clipper.replay.evaluation import Evaluation, Settings, Target, evaluate

FAILED: Final = 1
INTERRUPTED: Final = 128 + signal.SIGINT
QUIET_SECONDS: Final = 2.0
"""Nothing is said of progress before that; then after twice as long, and so on."""


class Progress:
    """Tells on standard error how far a long replay has come."""

    def __init__(self) -> None:
        self._told = time.monotonic()
        self._pause = QUIET_SECONDS

    def __call__(self, count: int) -> None:
        if count % 100 == 0 and time.monotonic() - self._told > self._pause:
            self._told = time.monotonic()
            self._pause *= 2
            print(f"Replayed {count:,} feedbacks", file=sys.stderr, flush=True)  # noqa: T201


def main(arguments: Sequence[str]) -> int:
    """The exit code: 1 where the log or a policy is at fault, said on standard error; 2 for wrong options."""
    given = _parser().parse_args(arguments)
    try:
        _run(given)
    except ClipperError as error:
        _console(sys.stderr).print(Text.assemble(("Error: ", "bold red"), error.cause), soft_wrap=True)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough and left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run(given: argparse.Namespace) -> None:
    settings = Settings(given.loss, given.loss_scale, given.with_shadows, given.users, given.seeds, given.delay)
    targets = paired(given.policy, given.params)
    if given.plot is not None:
        plot.check(given.plot)
    evaluation = evaluate(log.read(given.log), targets, settings, Progress())
    _show(evaluation, given.output == "json", given.compare)
    if given.plot is not None:
        plot.draw(evaluation, given.plot)


def paired(policies: Sequence[str], params: Sequence[str]) -> list[Target]:
    """Each policy with its parameters: the first ``--params`` are those of the first ``--policy``, and so on."""
    if len(params) > len(policies):
        raise BadRequest(f"There are {len(params)} --params and {len(policies)} --policy: give each policy its own")
    texts = [*params, *["{}"] * (len(policies) - len(params))]
    return [Target(name, _object(text)) for name, text in zip(policies, texts, strict=True)]


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadRequest(f"--params {text!r} is not JSON ({error}): write it like '{{\"eta\": 0.2}}'") from None
    if not isinstance(value, dict):
        raise BadRequest(f"--params {text!r} is no JSON object: write it like '{{\"eta\": 0.2}}'")
    return value


def _show(evaluation: Evaluation, is_json: bool, compare: bool) -> None:
    if is_json:
        print(json.dumps(report.as_json(evaluation), ensure_ascii=False), flush=True)  # noqa: T201
        return
    print(report.summary(evaluation))  # noqa: T201
    print(_rendered(report.as_table(evaluation, compare)), flush=True)  # noqa: T201
    for each in report.warnings(evaluation):
        _console(sys.stderr).print(Text.assemble(("Warning: ", "bold yellow"), each), soft_wrap=True)


def _rendered(table: Table) -> str:
    console = _console(sys.stdout)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _console(stream: Any) -> Console:
    """A pipe has no width: nothing is cut or folded there."""
    return Console(file=stream, highlight=False, width=None if stream.isatty() else 10_000)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clipper replay", description="Estimate policies' errors from a log.")
    add = parser.add_argument
    add("log", metavar="LOG", help="an exported feedback log, JSON Lines or Parquet; - for standard input")
    add("--policy", action="append", required=True, help="a policy to replay; may be given several times")
    add("--params", action="append", default=[], help="its parameters, a JSON object")
    add("--loss", default="zero_one", help="zero_one, absolute or squared")
    add("--loss-scale", type=_positive, default=1.0, help="the largest error of a number that matters")
    add("--with-shadows", action="store_true", help="shadow models can be selected, too")
    add("--users", action=argparse.BooleanOptionalAction, default=True, help="a state for each user")
    add("--seeds", type=_at_least(1), default=1, help="how often each policy is replayed; the results are averaged")
    add("--delay", type=_at_least(0), default=0, help="how many feedbacks later a policy learns of each")
    add("--compare", action="store_true", help="show how far each policy is from what was answered")
    add("--plot", type=Path, help="write the error over the log to this .svg, .png or .pdf")
    add("--output", choices=("text", "json"), default="text")
    return parser


def _at_least(least: int) -> Any:
    def whole(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return value

    return whole


def _positive(text: str) -> float:
    if not 0.0 < (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
