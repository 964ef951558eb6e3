"""A cluster's processes as a whole: starting them, taking up a crashed cluster again, stopping them."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from clipper_admin.exceptions import ClipperException
from clipper_admin.limits import whole_number
from clipper_admin.log import ClusterLogger
from clipper_admin.managers import ports, processes, waiting
from clipper_admin.managers.folders import Cluster, ClusterFolder, private_folder, write_atomically
from clipper_admin.managers.images import read_image
from clipper_admin.managers.programs import (
    MANAGEMENT,
    parse_replica,
    query_frontend_program,
    replica_program,
    rpc_socket,
    server_programs,
)
from clipper_admin.managers.steps import step
from clipper_admin.managers.supervisor import (
    STOP_SECONDS,
    Program,
    Supervisor,
    program_config,
    start_supervisor,
    supervisor_config,
)
from clipper_admin.packaging import write_runtime

START_TIMEOUT = 30.0


def control_socket(cluster_sockets: str | Path) -> Path:
    return Path(cluster_sockets) / "supervisor.sock"


def control(folder: ClusterFolder) -> Supervisor:
    """The control socket of the cluster in ``folder``, running or not."""
    cluster = folder.read()
    return Supervisor(control_socket(cluster.sockets if cluster else folder.sockets()))


def running_clusters(home: str | Path) -> list[str]:
    """The names of the clusters of a home whose supervisord answers, in order."""
    found = sorted(Path(home).expanduser().absolute().glob("clusters/*/cluster.json"))
    return [each.parent.name for each in found if control(ClusterFolder(each.parent)).running()]


def configured_programs(folder: ClusterFolder) -> list[str]:
    """The names of the programs that are to run."""
    return sorted(each.stem for each in folder.programs.glob("*.conf"))


def write_program(folder: ClusterFolder, program: Program) -> None:
    write_atomically(folder.programs / f"{program.name}.conf", program_config(program))


def choose_cluster(folder: ClusterFolder, wanted: Cluster) -> Cluster:
    """The cluster to start in ``folder``: as ``wanted``, with its ports and the folder's sockets.

    Where any port will do (0), those of the cluster's earlier life come first.

    Raises:
        ClipperException: a port is taken, or wanted twice.
    """
    before = folder.read() or dataclasses.replace(wanted, query_port=0, management_port=0, rpc_port=0)
    chosen = ports.choose_ports(
        wanted.host,
        ports.Wish("query", wanted.query_port, before.query_port),
        ports.Wish("management", wanted.management_port, before.management_port),
        ports.Wish("rpc", wanted.rpc_port, before.rpc_port, wanted.frontends),
    )
    return dataclasses.replace(
        wanted,
        query_port=chosen["query"],
        management_port=chosen["management"],
        rpc_port=chosen["rpc"],
        sockets=str(folder.sockets()),
    )


def check_frontends(cluster: Cluster, num_frontend_replicas: int) -> None:
    """Raises ClipperException if a running cluster is to have another number of query frontends."""
    count = whole_number("num_frontend_replicas", num_frontend_replicas, least=1)
    if count != cluster.frontends:
        raise ClipperException(
            f"The {cluster.frontends} query frontends of a local cluster are told to its processes when they start: "
            f"call stop_all(keep_state=True), then start_clipper(num_frontend_replicas={count}); nothing is lost."
        )


def start_cluster(folder: ClusterFolder, cluster: Cluster, environ: Mapping[str, str], logger: ClusterLogger) -> None:
    """Starts the servers, and the replicas that an earlier cluster kept in this folder; returns when servers answer.

    Raises:
        ClipperException: they do not; whatever was started is stopped.
    """
    before = folder.read()
    if before is not None and (changes := cluster.changes(before)):
        logger.warning("The cluster in %s comes up otherwise than before: %s", folder.path, ", ".join(changes))
    _clear_sockets(Path(cluster.sockets))
    folder.write(cluster)
    _write_configuration(folder, cluster, environ, logger)
    supervisor = Supervisor(control_socket(cluster.sockets))
    try:
        start_supervisor(folder.path, folder.supervisor_config)
        with step(logger, "Starting the frontends"):
            _wait_for_servers(folder, cluster, supervisor)
    except BaseException:
        stop_processes(folder, graceful=False)
        raise


def stop_processes(folder: ClusterFolder, graceful: bool) -> None:
    """Ends every process of the cluster, replicas first if ``graceful``; its files stay. Also after a crash."""
    supervisor = control(folder)
    if graceful:
        with contextlib.suppress(ClipperException):  # it is gone, or does not answer
            _stop_gracefully(supervisor)
    patience = STOP_SECONDS if graceful else 0
    processes.end(lambda: processes.supervisors(folder.supervisor_config), patience)
    processes.end(lambda: processes.children(supervisor.control_socket), patience)
    _clear_sockets(supervisor.control_socket.parent)


def remove_files(folder: ClusterFolder) -> None:
    shutil.rmtree(control(folder).control_socket.parent, ignore_errors=True)
    folder.remove()


def _stop_gracefully(supervisor: Supervisor) -> None:
    programs = list(supervisor.processes())
    supervisor.remove(each for each in programs if parse_replica(each))
    supervisor.remove(each for each in programs if not parse_replica(each))
    supervisor.shutdown()


def _write_configuration(
    folder: ClusterFolder, cluster: Cluster, environ: Mapping[str, str], logger: ClusterLogger
) -> None:
    """Writes everything anew: addresses, settings or the version of Clipper may not be those of the last start."""
    write_runtime(folder.runtime)
    config = supervisor_config(control_socket(cluster.sockets), folder.programs)
    write_atomically(folder.supervisor_config, config)
    kept = _kept_replicas(folder, cluster, environ, logger)
    for stale in folder.programs.glob("*.conf"):
        stale.unlink()
    for program in [*server_programs(folder, cluster), *kept]:
        write_program(folder, program)


def _kept_replicas(
    folder: ClusterFolder, cluster: Cluster, environ: Mapping[str, str], logger: ClusterLogger
) -> list[Program]:
    programs = []
    for name in configured_programs(folder):
        replica = parse_replica(name)
        if replica is None:
            continue
        try:
            image = read_image(folder, replica.model, replica.version)
        except ClipperException as error:
            logger.warning("Replica %s is not started again: %s", name, error)
            continue
        logger.info("Starting replica %s again", name)
        programs.append(replica_program(folder, cluster, replica, image, environ))
    return programs


def _wait_for_servers(folder: ClusterFolder, cluster: Cluster, supervisor: Supervisor) -> None:
    checks: dict[str, Callable[[], str]] = {MANAGEMENT: lambda: waiting.get(_admin(cluster), "/admin/ping")}
    for index in range(cluster.frontends):
        checks[query_frontend_program(index)] = lambda index=index: _frontend_missing(cluster, index)  # type: ignore[misc]
    try:
        waiting.wait_until_ready(supervisor, list(checks), lambda: _first_missing(checks.values()), START_TIMEOUT)
    except waiting.Ended as end:
        raise waiting.server_failure(folder, end.program, "ended while it started") from None
    except waiting.Overdue as overdue:
        late = next((program for program, check in checks.items() if check()), MANAGEMENT)
        what = f"was not ready after {START_TIMEOUT:g} s ({overdue.missing})"
        raise waiting.server_failure(folder, late, what) from None


def _first_missing(checks: Iterable[Callable[[], str]]) -> str:
    return next((missing for check in checks if (missing := check())), "")


def _frontend_missing(cluster: Cluster, index: int) -> str:
    # The frontends share the query port, so each is also looked for at a socket of its own.
    return waiting.listening(rpc_socket(cluster, index)) or waiting.get(_query(cluster), "/health/ready")


def _admin(cluster: Cluster) -> str:
    return ports.address(cluster.host, cluster.management_port)


def _query(cluster: Cluster) -> str:
    return ports.address(cluster.host, cluster.query_port)


def _clear_sockets(sockets: Path) -> None:
    private_folder(sockets)
    for stale in sockets.iterdir():
        stale.unlink(missing_ok=True)
