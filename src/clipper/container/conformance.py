"""Tries whether a container, in whatever language, keeps to ``docs/wire.md``: plays the frontend and asks it.

Of Clipper it needs what the container has, ``rpc.wire``: it runs wherever a container is written.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from clipper.container.conformance_checks import TEXT_CHECKS, TYPE_CHECKS, Check
from clipper.container.conformance_life import LIFE_CHECKS, PAIR_CHECKS
from clipper.container.conformance_peer import Complaint
from clipper.container.conformance_stage import Stage, Trial
from clipper.rpc.wire import InputType, parse_input_type

_LOG_LINES: Final = 20
_DESCRIPTION: Final = """\
Starts COMMAND as a container and plays the query frontends it connects to. Each check is a line: "ok", or "FAILED"
with what was expected and what came. Exit code 0 if all is well, 1 if not.

COMMAND gets its settings from the environment: CLIPPER_ADDRESS, CLIPPER_INPUT_TYPE, CLIPPER_MODEL_NAME,
CLIPPER_MODEL_VERSION and CLIPPER_REPLICA_ID are set for it, all else (CLIPPER_MODEL_PATH) is passed on. It is
started for each input type, and once more with two frontends. SIGTERM is sent to the process itself: a shell
before it must pass it on (exec).

Its model must answer
  bytes, integers, floats, doubles   [number of elements, their sum]
  strings                            the text itself
and raise an error with "asked to fail" in its text for an input whose first element is 99, or the text "fail".
"""
_EXAMPLE: Final = """\
example: CLIPPER_MODEL_PATH=model python -m clipper.container.conformance --input-type doubles -- ./my-container
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code of the process."""
    options = _parser().parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        _parser().error("COMMAND is missing: write it after --")
    kinds = options.input_type or list(InputType)
    with tempfile.TemporaryDirectory(prefix="clipper-") as folder:
        return _run(Trial(command, Path(folder), options.patience, options.tcp), kinds, options.only)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clipper.container.conformance",
        usage="%(prog)s [options] -- COMMAND ...",
        description=_DESCRIPTION,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--input-type",
        action="append",
        type=_input_type,
        metavar="TYPE",
        help="an input type the container takes; may be repeated (default: all five)",
    )
    parser.add_argument("--tcp", action="store_true", help="TCP alone, for a container that can't use Unix sockets")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the checks with TEXT in their names")
    parser.add_argument(
        "--patience",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for any one thing; loading the model is one (default: 30)",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND ...", help="what starts the container")
    return parser


def _input_type(text: str) -> InputType:
    try:
        return parse_input_type(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _run(trial: Trial, kinds: Sequence[InputType], only: str) -> int:
    results = [passed for kind in kinds for passed in _try_type(trial, kind, only, kind is kinds[0])]
    results += _try(trial, kinds[0], 2, _chosen(PAIR_CHECKS, only))
    failures = results.count(False)
    if failures:
        _show_log(trial)
    _say(f"{failures} of {len(results)} checks FAILED" if failures else f"all {len(results)} checks are ok")
    return 1 if failures or not results else 0


def _try_type(trial: Trial, kind: InputType, only: str, is_first: bool) -> Iterator[bool]:
    checks = (
        *TYPE_CHECKS,
        *(TEXT_CHECKS if kind is InputType.STRINGS else ()),
        *(LIFE_CHECKS if is_first else ()),
    )
    return _try(trial, kind, 1, _chosen(checks, only))


def _chosen(checks: Sequence[Check], only: str) -> list[Check]:
    return [(name, check) for name, check in checks if only in name]


def _try(trial: Trial, kind: InputType, frontends: int, checks: Sequence[Check]) -> Iterator[bool]:
    """Makes the checks with one life of the command; whether each went well."""
    stage = Stage(trial, kind, frontends)
    try:
        for name, check in checks:
            yield _check(stage, f"{kind.value}: {name}", check)
            if not stage.has_connected:
                return _say(f"{kind.value}: no connection was ever made: the checks that need one are left out")
    finally:
        stage.close()


def _check(stage: Stage, name: str, check: Callable[[Stage], None]) -> bool:
    try:
        check(stage)
    except (Complaint, OSError) as failure:  # OSError: the command can't be started
        stage.drop()
        _say(f"FAILED {name}: {failure}")
        return False
    _say(f"ok {name}")
    return True


def _show_log(trial: Trial) -> None:
    lines = trial.log.read_text(errors="backslashreplace").splitlines() if trial.log.exists() else []
    _say(f"the last lines of what the command wrote, {min(len(lines), _LOG_LINES)} of {len(lines)}:")
    for line in lines[-_LOG_LINES:]:
        _say(f"    {line}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
