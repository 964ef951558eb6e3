"""What the processes of a cluster wrote, and what supervisord wrote about their ends."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from clipper_admin.log_lines import readable
from clipper_admin.managers.folders import ClusterFolder

TAIL_LINES = 30
TRACEBACK = "Traceback (most recent call last)"
TRACEBACK_LINES = 100
KEPT_LOGS = 20


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log; more where that shows the last traceback from its beginning. Empty if unreadable."""
    return last_words(_last_bytes(path, 65_536), lines)


def last_words(log: str, lines: int = TAIL_LINES) -> str:
    """``tail`` of the text of a log."""
    text = readable(log).splitlines()
    begin = max(0, len(text) - lines)
    tracebacks = [number for number, line in enumerate(text) if line.lstrip().startswith(TRACEBACK)]
    if tracebacks and len(text) - tracebacks[-1] <= TRACEBACK_LINES:
        begin = min(begin, tracebacks[-1])
    return "\n".join(text[begin:])


def how_it_ended(folder: ClusterFolder, program: str) -> str:
    """The last end of a program, as ``exit status 1`` or ``terminated by SIGKILL``; empty if it has not ended."""
    ends = re.findall(rf"exited: {re.escape(program)} \((.+?); (?:not )?expected\)", _supervisor_log(folder))
    return str(ends[-1]) if ends else ""


def copy_logs(folder: ClusterFolder, cluster_name: str, logging_dir: Path) -> list[str]:
    """Copies every log, those rotated away too, to ``<logging_dir>/<cluster>_<program>.log``; the paths written."""
    logging_dir.mkdir(parents=True, exist_ok=True)
    copied = []
    for log in sorted(folder.logs.glob("*.log*")):
        target = logging_dir / f"{cluster_name}_{log.name}"
        shutil.copyfile(log, target)
        copied.append(str(target))
    return copied


def prune_logs(folder: ClusterFolder, programs: Collection[str]) -> None:
    """Keeps the logs of ``programs`` and of the ``KEPT_LOGS`` others that wrote last."""
    gone = [log for log in folder.logs.glob("*.log") if log.stem not in {*programs, "supervisord"}]
    gone.sort(key=lambda log: log.stat().st_mtime, reverse=True)
    for log in gone[KEPT_LOGS:]:
        for part in folder.logs.glob(f"{log.name}*"):
            part.unlink(missing_ok=True)


def _supervisor_log(folder: ClusterFolder) -> str:
    return _last_bytes(folder.logs / "supervisord.log", 262_144)


def _last_bytes(path: Path, count: int) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - count))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
