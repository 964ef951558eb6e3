"""Isolated environments for models, made with uv and shared by all clusters of a home."""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from clipper_admin.exceptions import ClipperException
from clipper_admin.log import ClusterLogger
from clipper_admin.managers.folders import locked, private_folder

BUILD_TIMEOUT = 1800.0
SEARCH_SECONDS = 30.0
PROBE = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
PIP_OPTIONS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}


def prepare_interpreter(environments: Path, base_image: str, packages: Sequence[str], logger: ClusterLogger) -> str:
    """The Python that is to run a model: ``find_interpreter``'s, or that of its environment with ``packages``."""
    interpreter = find_interpreter(base_image, packages, logger)
    return make_environment(environments, interpreter, packages, logger) if packages else interpreter


def find_interpreter(base_image: str, packages: Sequence[str], logger: ClusterLogger) -> str:
    """The Python that is to run a model: the caller's for ``default``, else the one at the path ``base_image``.

    Raises:
        ClipperException: it does not run, or lacks what the container needs (where no ``packages`` are to be
            installed for it).
    """
    interpreter = sys.executable if base_image == "default" else base_image
    if base_image != "default":
        interpreter = _resolved(base_image)
        found = python_version(interpreter)
        if found.split(".")[:2] != [str(part) for part in sys.version_info[:2]]:
            logger.warning("Functions pickled here may not load under Python %s (%s)", found, interpreter)
    if not packages:
        _run_python(interpreter, "import numpy, cloudpickle")
    return interpreter


def find_python(version: str) -> str:
    """The path of an interpreter of this version on this machine; raises ClipperException if there is none."""
    import uv  # here, to keep `import clipper_admin` light

    command = [uv.find_uv_bin(), "python", "find", "--no-python-downloads", "--no-project", "--system", version]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SEARCH_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClipperException(f"Python {version} could not be looked for: {error}") from error
    if done.returncode:
        raise ClipperException(
            f"There is no Python {version} on this machine: install it (`uv python install {version}`), or leave "
            f"python_version out to use this session's. uv says: {done.stderr.strip()}"
        )
    return done.stdout.strip()


def python_version(interpreter: str) -> str:
    """Such as ``3.11.7``; raises ClipperException if the interpreter does not run."""
    return _run_python(interpreter, PROBE)


def make_environment(environments: Path, interpreter: str, packages: Sequence[str], logger: ClusterLogger) -> str:
    """The Python of an environment that holds ``packages`` and what the container needs; made if not there yet.

    Raises:
        ClipperException: a package can't be installed (uv's own words are in the message); nothing is left behind.
    """
    needs = _with_own_needs(checked(packages))
    key = environment_key(python_version(interpreter), interpreter, needs)
    python = environments / key / "bin" / "python"
    private_folder(environments)
    with locked(environments / f"{key}.lock", BUILD_TIMEOUT, "Another deploy is making the same environment"):
        if python.exists():
            logger.info("Using the environment made before for %s", ", ".join(packages))
            os.utime(environments / key)  # young again, so that nobody removes it before its model is noted
        else:
            _build(environments / key, interpreter, needs, logger)
    return str(python)


def environment_key(version: str, interpreter: str, requirements: Sequence[str]) -> str:
    """Equal for equal content. A path or URL is never equal: what is there may change under its name."""
    normal = sorted(_normalised(each) for each in requirements)
    mutable = [uuid.uuid4().hex] if any("/" in each for each in normal) else []
    content = json.dumps([version, os.path.realpath(interpreter), normal, mutable])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def uv_variables(environ: Mapping[str, str], config_files: Sequence[Path]) -> dict[str, str]:
    """uv's settings of package indexes as the user gave them to pip: uv itself does not read pip's."""
    given = _pip_settings(environ, config_files)
    variables = {}
    for option, variable in PIP_OPTIONS.items():
        if option in given and variable not in environ:
            separator = "," if option == "find-links" else " "
            variables[variable] = separator.join(given[option].split())
    if "UV_INDEX" in variables and "UV_INDEX_STRATEGY" not in environ:
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # what pip does with extra indexes
    return variables


def pip_config_files(environ: Mapping[str, str]) -> list[Path]:
    """Where pip looks for its configuration, what counts most last."""
    config_home = environ.get("XDG_CONFIG_HOME") or "~/.config"
    named = [environ["PIP_CONFIG_FILE"]] if environ.get("PIP_CONFIG_FILE") else []
    places = ["/etc/pip.conf", "~/.pip/pip.conf", f"{config_home}/pip/pip.conf", f"{sys.prefix}/pip.conf", *named]
    return [Path(place).expanduser() for place in places]


def _pip_settings(environ: Mapping[str, str], config_files: Sequence[Path]) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
        parser.read(config_files)
    settings = dict(parser["global"]) if parser.has_section("global") else {}
    for option in PIP_OPTIONS:
        value = environ.get(f"PIP_{option.upper().replace('-', '_')}")
        if value:
            settings[option] = value
    return settings


def _build(target: Path, interpreter: str, needs: Sequence[str], logger: ClusterLogger) -> None:
    building = Path(tempfile.mkdtemp(dir=target.parent, prefix=".building-"))
    try:
        logger.info("Making an isolated environment with %s", ", ".join(needs))
        _uv(["venv", "--relocatable", "--python", interpreter, str(building / "env")], logger)
        _uv(["pip", "install", "--python", str(building / "env" / "bin" / "python"), "--", *needs], logger)
        (building / "env").rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _uv(arguments: Sequence[str], logger: ClusterLogger) -> None:
    """Runs uv, passing on its lines as they come.

    Raises:
        ClipperException: it failed; its last lines are in the message.
    """
    words: deque[str] = deque(maxlen=20)
    with _uv_process(arguments) as process:
        limit = threading.Timer(BUILD_TIMEOUT, process.kill)
        limit.start()
        try:
            for line in process.stdout or ():
                words.append(line.rstrip())
                logger.info("uv: %s", line.rstrip())
        except BaseException:
            process.kill()
            raise
        finally:
            limit.cancel()
    if process.returncode:
        raise ClipperException(
            "The model's environment could not be made; uv says:\n" + "\n".join(words) + "\n"
            "Check the names and versions in pkgs_to_install, and that the package index can be reached."
        )


@contextlib.contextmanager
def _uv_process(arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    import uv  # here, to keep `import clipper_admin` light

    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    environ |= uv_variables(environ, pip_config_files(environ))
    with subprocess.Popen(
        [uv.find_uv_bin(), "--no-progress", "--color", "never", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environ,
        text=True,
        errors="replace",
    ) as process:
        yield process


def checked(packages: Sequence[str]) -> list[str]:
    """The packages; ClipperException for what pip and uv would take as an option."""
    for package in packages:
        if not isinstance(package, str) or not package.strip() or package.strip().startswith("-"):
            raise ClipperException(
                f"{package!r} in pkgs_to_install is not a requirement: name packages as pip takes them, such as "
                "'scikit-learn' or 'torch==2.5.1'."
            )
    return [package.strip() for package in packages]


def _with_own_needs(packages: Sequence[str]) -> list[str]:
    """The packages, and what the container needs; the cloudpickle that they name, if any, else that of here."""
    is_named = any(re.match(r"cloudpickle(?![\w.-])", _normalised(each)) for each in packages)
    pickler = [] if is_named else [f"cloudpickle=={metadata.version('cloudpickle')}"]
    return [*packages, "numpy", *pickler]


def _normalised(requirement: str) -> str:
    squeezed = re.sub(r"\s+", " ", requirement.strip())
    return re.sub(r"^[\w.-]+", lambda name: re.sub(r"[-_.]+", "-", name[0]).lower(), squeezed)


def _resolved(base_image: str) -> str:
    found = shutil.which(os.path.expanduser(base_image))
    if not found:
        raise ClipperException(
            f"base_image={base_image!r} is not there to run: on this machine it is the path of a Python interpreter, "
            "or 'default' for the one that deploys."
        )
    return os.path.abspath(found)


def _run_python(interpreter: str, code: str) -> str:
    try:
        done = subprocess.run(
            [interpreter, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClipperException(f"{interpreter} does not run as a Python interpreter: {error}") from error
    if done.returncode == 0:
        return done.stdout.strip()
    words = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
    if "ModuleNotFoundError" in words[0]:
        raise ClipperException(
            f"{interpreter} can't run a model container ({words[0]}): install numpy and cloudpickle for it, or pass "
            "pkgs_to_install to get an isolated environment."
        )
    raise ClipperException(f"{interpreter} does not run as a Python interpreter: {words[0]}")
