"""The processes of a local cluster: what each is called and how it is run."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.folders import Cluster, ClusterFolder
from clipper_admin.managers.images import Image
from clipper_admin.managers.supervisor import Program

MANAGEMENT = "management-frontend"
DIE_WITH_PARENT = {"CLIPPER_DIE_WITH_PARENT": "1"}

CARRIED_VARIABLES = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TZ|TMPDIR|LANG|LANGUAGE|LC_\w+|(DY)?LD_LIBRARY_PATH|PYTHONPATH"
    r"|CUDA_\w+|NVIDIA_\w+|ROCR?_\w+|HIP_\w+|HF_\w+|XDG_\w+|\w+_NUM_THREADS"
    r"|JAVA_HOME|R_HOME|R_LIBS\w*|SPARK_\w+|KERAS_\w+|TF_\w+|JAX_\w+|XLA_\w+|TORCH_\w+"
)
"""What a replica gets of the environment of the session that deploys it; the rest is that of the one which started
the cluster."""

AFTER_SERVERS = ("nice", "-n", "5")
"""Where cores are short, a server that has something to answer comes before models at work: with sixteen of them on
two cores the P99 of an ensemble fell from 45 to 28 ms, and the throughput stayed (``benchmarks.figures.fig9``)."""


class ReplicaId(NamedTuple):
    """Names one replica of one model version; its program is ``<name>_<version>-<number>``."""

    model: str
    version: str
    number: int

    @property
    def program(self) -> str:
        return f"{self.model}_{self.version}-{self.number}"


def check_gpus(gpus: Sequence[str]) -> None:
    """Raises ClipperException if this machine has none."""
    if not Path("/dev/nvidiactl").exists():
        raise ClipperException(f"gpus={list(gpus)!r}, but there is no NVIDIA GPU here: leave gpus out to use the CPU")


def parse_replica(program: str) -> ReplicaId | None:
    """The replica a program is; None for the servers, whose names have no ``_``."""
    match = re.fullmatch(r"([^_]+)_([^_]+)-(\d+)", program)
    return ReplicaId(match[1], match[2], int(match[3])) if match else None


def frontend_name(index: int) -> str:
    return f"frontend-{index}"


def query_frontend_program(index: int) -> str:
    return f"query-frontend-{index}"


def management_command(folder: ClusterFolder, cluster: Cluster) -> tuple[str, ...]:
    return (
        *_server("clipper.management.frontend", folder, cluster),
        f"--management-port={cluster.management_port}",
    )


def query_frontend_command(folder: ClusterFolder, cluster: Cluster, index: int) -> tuple[str, ...]:
    """Every frontend shares the query port and has RPC and metrics addresses of its own."""
    others = [each for each in range(cluster.frontends) if each != index]
    return (
        *_server("clipper.frontend.server", folder, cluster),
        f"--query-port={cluster.query_port}",
        f"--frontend={frontend_name(index)}",
        f"--rpc-port={cluster.rpc_port + index}",
        f"--rpc-socket={rpc_socket(cluster, index)}",
        "--metrics-sockets=" + ",".join(str(_metrics_socket(cluster, each)) for each in [index, *others]),
        f"--cache-bytes={cluster.cache_size}",
        f"--request-timeout={cluster.request_timeout}",
        f"--content-timeout={cluster.content_timeout}",
    )


def rpc_socket(cluster: Cluster, index: int) -> Path:
    return Path(cluster.sockets) / f"rpc-{index}.sock"


def server_programs(folder: ClusterFolder, cluster: Cluster) -> list[Program]:
    """The management frontend and the query frontends."""
    servers = [Program(MANAGEMENT, management_command(folder, cluster), DIE_WITH_PARENT, priority=100)]
    for index in range(cluster.frontends):
        command = query_frontend_command(folder, cluster, index)
        servers.append(Program(query_frontend_program(index), command, DIE_WITH_PARENT, priority=200))
    return servers


def replica_program(
    folder: ClusterFolder, cluster: Cluster, replica: ReplicaId, image: Image, environ: Mapping[str, str]
) -> Program:
    """The container of a replica: the runtime under the image's interpreter, connected to every query frontend.

    It runs in the model's folder, so that the model finds the files that were deployed with it.
    """
    data = folder.models / replica.model / replica.version / "model"
    environment = {
        **_carried(environ, isolated=bool(image.packages)),
        **DIE_WITH_PARENT,
        "CLIPPER_MODEL_NAME": replica.model,
        "CLIPPER_MODEL_VERSION": replica.version,
        "CLIPPER_INPUT_TYPE": image.input_type,
        "CLIPPER_MODEL_PATH": str(data),
        "CLIPPER_ADDRESS": ",".join(f"unix:{rpc_socket(cluster, each)}" for each in range(cluster.frontends)),
        "CLIPPER_TCP_ADDRESS": ",".join(_rpc_address(cluster, each) for each in range(cluster.frontends)),
        "CLIPPER_REPLICA_ID": str(replica.number),
        "CLIPPER_METRICS_ADDRESS": "127.0.0.1:0",
        "CLIPPER_LOG_LEVEL": cluster.log_level,
        "CLIPPER_LOG_FORMAT": cluster.log_format,
        "PYTHONUNBUFFERED": "1",
    }
    command = (*AFTER_SERVERS, image.interpreter, str(folder.runtime))
    return Program(replica.program, command, environment, 300, directory=str(data.relative_to(folder.path)))


def _server(module: str, folder: ClusterFolder, cluster: Cluster) -> tuple[str, ...]:
    log = f"--log-level={cluster.log_level}", f"--log-format={cluster.log_format}"
    return (sys.executable, "-m", module, f"--store={folder.store}", f"--host={cluster.host}", *log)


def _rpc_address(cluster: Cluster, index: int) -> str:
    """For containers in languages without Unix sockets."""
    host = "127.0.0.1" if cluster.host in ("0.0.0.0", "::", "localhost") else cluster.host
    return f"tcp:{host}:{cluster.rpc_port + index}"


def _metrics_socket(cluster: Cluster, index: int) -> Path:
    return Path(cluster.sockets) / f"metrics-{index}.sock"


def _carried(environ: Mapping[str, str], isolated: bool) -> dict[str, str]:
    carried = {
        name: value for name, value in environ.items() if CARRIED_VARIABLES.fullmatch(name) and value.isprintable()
    }
    # An environment of its own must not see the packages of the session that made it.
    return carried | {"PYTHONPATH": "", "PYTHONHOME": ""} if isolated else carried
