"""Deploys a class of Java, or of any language of the JVM, in a container of nothing but the JDK."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import foreign, framework
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException

JDK: Final = "a JDK of Java 17 or later (Debian: openjdk-17-jdk-headless)"
FOLDER: Final = "clipper-container"


def deploy_java_class(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    class_path: str | os.PathLike[str],
    class_name: str,
    **options: Unpack[Options],
) -> None:
    """Deploys a class that implements ``clipper.Model`` (see ``containers/java/README.md``).

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles, bytes or strings.
        class_path: a directory of classes, with the jars they need in it, one jar, or the source, a ``.java`` file.
        class_name: of the class, with its package.
        options: see ``clipper_admin.deployers.framework.Options``; those about Python have no effect.

    Raises:
        ClipperException: no JDK, no such file, what the compiler says, or what failed in the container.
    """
    framework.deploy(
        clipper_conn, name, version, input_type, _served(class_path, class_name, input_type, options), **options
    )


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    class_path: str | os.PathLike[str],
    class_name: str,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the class under the same name and links them; all or nothing."""
    served = _served(class_path, class_name, input_type, options)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def _served(class_path: str | os.PathLike[str], class_name: str, input_type: str, options: Options) -> Served:
    for program in ("java", "javac"):
        foreign.need(program, JDK)
    source = foreign.path("class_path", class_path)
    if not source.exists():
        raise ClipperException(f"{source} does not exist: give a directory of classes, a jar, or a .java file")
    if not re.fullmatch(r"[\w$]+(\.[\w$]+)*", class_name):
        raise ClipperException(f"{class_name!r} is no name of a class, such as com.example.Total")
    command = ("env", f"CLIPPER_JAVA_CLASS={class_name}", "java", "-cp", FOLDER, "clipper.Container")
    return Served("java", None, lambda directory: _save(source, directory, input_type, options), command=command)


def _save(source: Path, directory: Path, input_type: str, options: Options) -> None:
    foreign.save_sample(directory, input_type, options)
    container = str(directory / FOLDER)
    sources = sorted(map(str, (foreign.CONTAINERS / "java" / "clipper").glob("*.java")))
    foreign.run(["javac", "-d", container, *sources], "Compiling the container")
    if source.is_dir():
        shutil.copytree(source, directory, dirs_exist_ok=True)
    elif source.suffix == ".java":
        foreign.run(["javac", "-cp", container, "-d", str(directory), str(source)], f"Compiling {source}")
    else:
        shutil.copy(source, directory)
