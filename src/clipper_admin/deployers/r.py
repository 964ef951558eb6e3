"""Deploys a function of R in a container of base R.

``containers/r/deploy.R`` calls ``python -m clipper_admin.deployers.r`` from R itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import foreign, framework
from clipper_admin.deployers.framework import Options, Served
from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.local import LocalContainerManager

R: Final = "R 4.0 or later (Debian: r-base-core)"
FOLDER: Final = "clipper-container"
FUNCTION: Final = "func.rds"
_EVALUATE: Final = """
files <- commandArgs(trailingOnly = TRUE)
func <- source(files[1], local = new.env(parent = globalenv()))$value
if (!is.function(func)) stop("the last value of the script is a ", class(func)[1], ", not a function")
saveRDS(func, files[2])
"""


def deploy_r_function(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    func: str | os.PathLike[str],
    **options: Unpack[Options],
) -> None:
    """Deploys a function of R that takes a batch of inputs (see ``containers/r/README.md``).

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model.
        version: of the model.
        input_type: integers, floats, doubles, bytes or strings.
        func: a file that ``saveRDS`` wrote, or a script (``.R``) whose last value is the function.
        options: see ``clipper_admin.deployers.framework.Options``; those about Python have no effect.

    Raises:
        ClipperException: no R, no such file, no function in it, no answer to the sample, or what failed in the
            container.
    """
    served = _served(func, input_type, options)
    framework.deploy(clipper_conn, name, version, input_type, served, **options)


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    func: str | os.PathLike[str],
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    **options: Unpack[Options],
) -> None:
    """Registers an application, deploys the function under the same name and links them; all or nothing."""
    served = _served(func, input_type, options)
    framework.create_endpoint(clipper_conn, name, input_type, served, default_output, version, slo_micros, **options)


def _served(func: str | os.PathLike[str], input_type: str, options: Options) -> Served:
    foreign.need("Rscript", R)
    source = foreign.path("func", func)
    if not source.is_file():
        raise ClipperException(
            f"{source} does not exist: give a file of saveRDS, or a script whose value is a function"
        )
    return Served(
        "r",
        None,
        lambda directory: _save(source, directory, input_type, options),
        command=("sh", f"{FOLDER}/container.sh"),
        needs_tcp=True,
    )


def _save(source: Path, directory: Path, input_type: str, options: Options) -> None:
    shutil.copytree(foreign.CONTAINERS / "r", directory / FOLDER)
    target = directory / FUNCTION
    if source.suffix.lower() == ".r":
        foreign.run(["Rscript", "--vanilla", "-e", _EVALUATE, str(source), str(target)], f"Running {source}")
    else:
        shutil.copy(source, target)
    foreign.save_sample(directory, input_type, options)


def _json(text: str) -> Any:
    return json.loads(sys.stdin.read() if text == "-" else text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Deploys to a cluster of this machine."""
    parser = argparse.ArgumentParser(prog="python -m clipper_admin.deployers.r", description=main.__doc__)
    parser.add_argument("name", help="of the model")
    parser.add_argument("version", help="of the model")
    parser.add_argument("input_type", help="integers, floats, doubles, bytes or strings")
    parser.add_argument("func", help="a file of saveRDS, or a script whose last value is the function")
    parser.add_argument("--cluster", default="default-cluster", help="its name [%(default)s]")
    parser.add_argument("--home", help="folder of all clusters [~/.clipper]")
    parser.add_argument("--sample", type=_json, help="an input it must answer first, as JSON; -: read from stdin")
    parser.add_argument("--num-replicas", type=int, default=1, help="processes that serve it [%(default)s]")
    parser.add_argument("--batch-size", type=int, default=-1, help="inputs at once at most [learned]")
    parser.add_argument("--threads", type=int, default=1, help="of each replica's numeric libraries [%(default)s]")
    given = parser.parse_args(arguments)
    connection = ClipperConnection(LocalContainerManager(given.cluster, home=given.home))
    try:
        connection.connect()
        deploy_r_function(
            connection,
            given.name,
            given.version,
            given.input_type,
            given.func,
            sample=given.sample,
            num_replicas=given.num_replicas,
            batch_size=given.batch_size,
            threads=given.threads,
        )
    except ClipperException as error:
        raise SystemExit(f"Error: {error}") from None
    finally:
        connection.close()


if __name__ == "__main__":
    main()
