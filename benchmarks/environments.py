"""Python environments of the systems, made on demand and kept in a folder outside of the repository."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = str(ROOT)
"""This project as a requirement: installed as users install it, which compiles it."""
INSTALL_SECONDS = 900


class CannotRun(Exception):
    """A system that can't be measured here; the text says why, for the report."""


def cache_folder() -> Path:
    return Path(os.environ.get("CLIPPER_BENCH_CACHE", "~/.cache/clipper-bench")).expanduser()


def digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([platform.python_version(), *sorted(texts)]).encode()).hexdigest()[:12]


def interpreter(name: str, requirements: Sequence[str]) -> Path:
    """The Python of the environment with these requirements; nothing to install means our own.

    Raises:
        CannotRun: they can't be installed, with pip's last words.
    """
    if not requirements:
        return Path(sys.executable)
    cache_folder().mkdir(parents=True, exist_ok=True)
    folder = cache_folder() / f"{name}-{digest(requirements)}"
    contents = "\n".join((*requirements, _source_digest() if OURS in requirements else "")) + "\n"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = folder / "complete"
        if not complete.exists() or complete.read_text() != contents:
            _make(folder, requirements)
            complete.write_text(contents)
    return folder / "bin" / "python"


def _source_digest() -> str:
    """Of all that an installation of this project is made from."""
    files = [ROOT / "pyproject.toml", ROOT / "setup.py", *(ROOT / "src").rglob("*.[pc]*")]
    texts = [path.read_bytes() for path in sorted(files) if path.suffix in (".py", ".pyi", ".c", ".toml")]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def _make(folder: Path, requirements: Sequence[str]) -> None:
    print(f"making {folder} with {', '.join(requirements)}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    _run([*pip, *requirements])


def _run(command: list[str]) -> None:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{' '.join(command)} took more than {INSTALL_SECONDS} s") from None
    if ran.returncode:
        lines = [line for line in ran.stderr.splitlines() if line.strip()]
        raise CannotRun(f"{' '.join(command)} failed: " + " | ".join(lines[-3:]))


def installed_versions(python: Path, names: Sequence[str]) -> dict[str, str]:
    """The versions of those of the packages that this Python has."""
    program = (
        "import sys, importlib.metadata as m\n"
        "have = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print('\\n'.join(f'{n} {have[n.lower()]}' for n in sys.argv[1:] if n.lower() in have))"
    )
    ran = subprocess.run([str(python), "-c", program, *names], capture_output=True, text=True, timeout=60, check=True)
    return dict(line.split() for line in ran.stdout.splitlines())
