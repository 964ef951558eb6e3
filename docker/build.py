"""Makes Clipper's images, ``make images``: one of the servers, and one for models of each framework.

Packages are fetched and compiled here, by this Python, and given to the build as wheels: the build itself needs no
network and no compiler. The image's Python must be of the same version, therefore.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent
WORK = SOURCE / "build" / "images"
BUILD_SECONDS = 1800
TRIED = {"torch": "torch==2.13.0"}
"""Packages that are taken in the version that was tried, whatever pyproject.toml allows: others are much larger."""
STEMS = {"closure": "python{}-closure-container", "torch": "pytorch{}-container", "tensorflow": "tf{}-container"}
"""Names of images that are not simply the framework's, from the original Clipper."""
ALIASES = {"pytorch": "torch", "python": "closure", "tf": "tensorflow"}


class BuildError(Exception):
    """An image can't be made; the text says why and what to do."""


def main() -> int:
    options = _options()
    try:
        project = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        frameworks = _frameworks(options.frameworks, project["optional-dependencies"])
        version = options.version or project["version"]
        _check_python(options.base_image)
        names = [f"{options.registry}/{each}_frontend:{version}" for each in ("query", "management")]
        _build_servers(options.base_image, project["version"], names)
        for framework, packages in frameworks.items():
            stem = STEMS.get(framework, framework + "{}-container").format(
                "".join(platform.python_version_tuple()[:2])
            )
            _build_model(options.base_image, framework, packages, f"{options.registry}/{stem}:{version}")
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-image", default="python:3.11-slim", help="an image with Python (%(default)s)")
    parser.add_argument("--registry", default="clipper", help="what the names begin with (%(default)s)")
    parser.add_argument("--version", default="", help="the tag (that of Clipper)")
    parser.add_argument("--frameworks", default="closure", help="extras of pyproject.toml, or closure (%(default)s)")
    return parser.parse_args()


def _frameworks(names: str, extras: dict[str, list[str]]) -> dict[str, list[str]]:
    """The packages of each framework that was asked for."""
    known = {"closure": [], **{name: needs for name, needs in extras.items() if _is_framework(name, needs)}}
    wanted = [ALIASES.get(name, name) for name in names.split()]
    for name in wanted:
        if name not in known:
            raise BuildError(f"No framework is called {name!r}: choose from {', '.join(sorted(known))}")
    return {name: [TRIED.get(_package(need), need) for need in known[name]] for name in wanted}


def _is_framework(name: str, needs: list[str]) -> bool:
    others = ("docker", "examples", "parquet", "redis")
    return name not in others and not any("clipper-serving[" in need for need in needs)


def _package(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _check_python(base_image: str) -> None:
    """The wheels made here fit no other Python."""
    code = "import platform; print('.'.join(platform.python_version_tuple()[:2]))"
    command = ["docker", "run", "--rm", "--network=none", "--entrypoint=python3", base_image, "-c", code]
    found = _run(command, f"There is no Python in {base_image}: choose another BASE_IMAGE").strip()
    own = ".".join(platform.python_version_tuple()[:2])
    if found != own:
        raise BuildError(
            f"{base_image} has Python {found}, and this is Python {own}: run `make images` with PYTHON="
            f"python{found}, or choose a BASE_IMAGE with Python {own}"
        )


def _build_servers(base_image: str, version: str, names: list[str]) -> None:
    context = _context("servers", "Dockerfile", "clipper-server", "clipper-health")
    # A patch version of Python may need what ours does not: redis has async-timeout before 3.11.3.
    _make_wheels(context / "wheels", [f"{SOURCE}[redis]", "async-timeout"], _hash_of_sources())
    _build(context, names, base_image, f"VERSION={version}")


def _build_model(base_image: str, framework: str, packages: list[str], name: str) -> None:
    from clipper_admin.packaging import write_runtime

    context = _context(framework, "Dockerfile.model", "clipper-connected")
    write_runtime(context / "clipper-container.pyz")
    _make_wheels(context / "wheels", ["numpy", "cloudpickle", *packages], "")
    _build(context, [name], base_image, f"PACKAGES={' '.join(packages)}")


def _context(name: str, dockerfile: str, *files: str) -> Path:
    """A folder with what a build needs, and nothing else to send to the engine."""
    context = WORK / name
    context.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / dockerfile, context / "Dockerfile")
    for file in files:
        shutil.copy(HERE / file, context)
    return context


def _make_wheels(folder: Path, requirements: list[str], sources: str) -> None:
    """Keeps those that are there if they were made for the same; compiling takes minutes."""
    note, made_for = folder / "made-for.json", json.dumps([requirements, sources, platform.python_version()])
    if note.exists() and note.read_text() == made_for:
        return
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    _run([*command, "--wheel-dir", str(folder), *requirements], f"The wheels of {requirements} can't be made")
    note.write_text(made_for)


def _hash_of_sources() -> str:
    digest = hashlib.sha256()
    files = [SOURCE / "pyproject.toml", SOURCE / "setup.py", *sorted((SOURCE / "src").rglob("*"))]
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts and ".egg-info" not in str(file):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _build(context: Path, names: list[str], base_image: str, argument: str) -> None:
    tags = [flag for name in names for flag in ("--tag", name)]
    arguments = ["--build-arg", f"BASE_IMAGE={base_image}", "--build-arg", argument]
    _run(["docker", "build", *tags, *arguments, str(context)], f"{names[0]} can't be built")
    size = int(_run(["docker", "image", "inspect", "--format={{.Size}}", names[0]], f"{names[0]} is not there"))
    sys.stdout.write(f"Made {' and '.join(names)}, {size / 1e6:.0f} MB\n")
    sys.stdout.flush()


def _run(command: list[str], problem: str) -> str:
    """What the command writes; raises BuildError with ``problem`` and its last words if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    except FileNotFoundError:
        raise BuildError(f"{command[0]} is not installed: images are made with Docker, install it") from None
    except subprocess.TimeoutExpired:
        raise BuildError(f"{problem}: `{' '.join(command)}` took more than {BUILD_SECONDS} s") from None
    if done.returncode:
        words = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise BuildError(f"{problem}; `{' '.join(command)}` says:\n{words}")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
