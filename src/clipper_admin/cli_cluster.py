"""``clipper start | stop | status | logs | doctor | quickstart``."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Final

import typer

from clipper_admin import defaults, doctor, quickstart
from clipper_admin.cli_commands import add_command
from clipper_admin.cli_terminal import FAILED, Kind, Terminal, table
from clipper_admin.connection import ClipperConnection
from clipper_admin.exceptions import ClipperException, ClusterExistsException
from clipper_admin.log_lines import readable
from clipper_admin.managers import garbage
from clipper_admin.managers.base import ContainerManager
from clipper_admin.managers.folders import Cluster
from clipper_admin.managers.settings import server_ports

FIRST_START: Final = Cluster("127.0.0.1", 1337, 1338, 7000, frontends=1, sockets="")

QueryPort = Annotated[
    int | None, typer.Option(envvar="CLIPPER_QUERY_PORT", help="Where applications ask; 0: any free. [1337]")
]
ManagementPort = Annotated[
    int | None, typer.Option(envvar="CLIPPER_MANAGEMENT_PORT", help="Where /admin is; 0: any free. [1338]")
]
RpcPort = Annotated[
    int | None, typer.Option(envvar="CLIPPER_RPC_PORT", help="Where containers connect; 0: any free. [7000]")
]


def add_to(app: typer.Typer) -> None:
    add_command(
        app,
        "start",
        start,
        "clipper start",
        "clipper start --cluster second --query-port 0 --management-port 0 --rpc-port 0",
    )
    add_command(app, "stop", stop, "clipper stop", "clipper stop --keep-state")
    add_command(app, "status", status, "clipper status", "clipper status --output json | jq .query")
    add_command(
        app, "logs", logs, "clipper logs", "clipper logs query-frontend-0 -f", "clipper logs -o json | jq .line"
    )
    add_command(app, "doctor", examine, "clipper doctor", "clipper doctor --manager docker")
    add_command(app, "gc", collect_garbage, "clipper gc", "clipper gc --output json | jq .freed_bytes")
    add_command(app, "quickstart", quickstart_, "clipper quickstart")


def start(
    terminal: Terminal,
    query_port: QueryPort = None,
    management_port: ManagementPort = None,
    rpc_port: RpcPort = None,
    frontends: Annotated[int | None, typer.Option(help="Query frontends that share the query port. [1]")] = None,
    cache_size: Annotated[int | None, typer.Option(help="Bytes of prediction cache; 0: off. [33554432]")] = None,
    log_level: Annotated[
        str | None,
        typer.Option(
            envvar="CLIPPER_LOG_LEVEL", help="debug (a line for each request), info, warning or error. \\[info]"
        ),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(envvar="CLIPPER_LOG_FORMAT", help="text, or json: an object a line. \\[text]")
    ] = None,
    redis_image: Annotated[
        str | None, typer.Option(envvar="CLIPPER_REDIS_IMAGE", help="In Docker: image of its Redis. \\[redis:7]")
    ] = None,
    prometheus_image: Annotated[
        str | None,
        typer.Option(
            envvar="CLIPPER_PROMETHEUS_IMAGE",
            help="In Docker: image of its Prometheus; '' for none. \\[prom/prometheus]",
        ),
    ] = None,
) -> None:
    """Start a cluster, or take up one that was stopped or has died. It runs until `clipper stop`.

    What is not given is as it was when it was last started; the first time, as in square brackets. In Docker, each
    query frontend has a port of its own, and a port that is taken is replaced by a free one.
    """
    ports = {"query": query_port, "management": management_port, "rpc": rpc_port}
    options: dict[str, Any] = {f"clipper_{each}_port": port for each, port in ports.items() if port is not None}
    options |= {} if log_level is None else {"log_level": log_level}
    options |= {} if log_format is None else {"log_format": log_format}
    if terminal.kind is Kind.DOCKER:
        options |= {} if redis_image is None else {"redis_image": redis_image}
        options |= {} if prometheus_image is None else {"prometheus_image": prometheus_image or None}
    connection = ClipperConnection(terminal.manager(**options))
    try:
        connection.start_clipper(
            cache_size=defaults.CACHE_SIZE if cache_size is None else cache_size,
            num_frontend_replicas=defaults.FRONTENDS if frontends is None else frontends,
        )
    except ClusterExistsException:
        raise ClipperException(
            f"Cluster {terminal.cluster} runs already: {terminal.command('status')} shows it, "
            f"{terminal.command('stop')} stops it"
        ) from None
    query, management = connection.cm.get_query_addr(), connection.cm.get_admin_addr()
    connection.close()
    terminal.show(
        {"cluster": terminal.cluster, "query": query, "management": management},
        f"Cluster {terminal.cluster} answers at http://{query}, and is managed at http://{management}",
    )


def _ports(before: Cluster, query: int | None, management: int | None, rpc: int | None) -> dict[str, int]:
    """By their purposes, checked as ``start`` checks them."""
    given = _given(query, before.query_port), _given(management, before.management_port), _given(rpc, before.rpc_port)
    return dict(zip(("query", "management", "rpc"), server_ports(*given), strict=True))


def _given(option: int | None, before: int) -> int:
    return before if option is None else option


def stop(
    terminal: Terminal,
    keep_state: Annotated[
        bool, typer.Option("--keep-state", help="Keep what is registered for the next start.")
    ] = False,
    now: Annotated[bool, typer.Option("--now", help="Don't wait for queries under way.")] = False,
) -> None:
    """Stop a cluster and all its models. That there is none is fine."""
    manager = terminal.manager()
    if manager.exists():
        ClipperConnection(manager).stop_all(graceful=not now, keep_state=keep_state)
    else:
        terminal.note(f"There is no cluster {terminal.cluster} to stop ({manager.place})")
    terminal.show({"cluster": terminal.cluster, "running": False})


def collect_garbage(terminal: Terminal) -> None:
    """Remove the isolated environments (pkgs_to_install) that no model of any cluster uses any more.

    Those made or used within the last hour stay, as a deploy may be about to use them.
    """
    removed = garbage.remove_unused(terminal.local_manager("gc").home)
    freed = sum(each.size for each in removed)
    text = "Nothing to remove (what was used within the hour stays)"
    if removed:
        text = f"Removed {len(removed)} unused environments: {freed / 1e6:,.0f} MB"
    terminal.show({"removed": [each.name for each in removed], "freed_bytes": freed}, text)


def status(terminal: Terminal) -> None:
    """Show whether a cluster runs, and its processes. Exits 1 if it does not run or does not answer."""
    try:
        manager = terminal.running()
    except ClipperException:
        terminal.show({"cluster": terminal.cluster, "running": False, "ready": False})
        raise
    state, refusal = _observe(terminal, manager)
    rows = [(each["program"], each["state"], each["pid"], each["uptime"]) for each in state["processes"]]
    if not terminal.is_json:
        terminal.show(None, f"Cluster {terminal.cluster} at http://{state['query']}: {_in_words(state)}")
    terminal.show(state, table(["PROGRAM", "STATE", "PID", "UPTIME (s)"], rows))
    if refusal is not None:
        raise refusal


def _observe(terminal: Terminal, manager: ContainerManager) -> tuple[dict[str, Any], ClipperException | None]:
    state: dict[str, Any] = {
        "cluster": terminal.cluster,
        "running": True,
        "ready": False,
        "query": manager.get_query_addr(),
        "management": manager.get_admin_addr(),
        "processes": [dataclasses.asdict(each) for each in manager.process_table()],
    }
    try:
        with terminal.connected() as connection:
            found = {"applications": connection.get_all_apps(), "models": connection.get_all_models()}
    except ClipperException as error:
        return state, error
    return state | {"ready": True} | found, None


def _in_words(state: dict[str, Any]) -> str:
    if not state["ready"]:
        return "its frontends do not answer"
    return f"{len(state['applications'])} applications, {len(state['models'])} model versions"


def logs(
    terminal: Terminal,
    program: Annotated[str | None, typer.Argument(help="One program of `clipper status`; all if not given.")] = None,
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing lines as they come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines to show.")] = 50,
) -> None:
    """Show the logs of a cluster's programs, running or not. With --output json, one JSON object a line.

    Lines that are JSON (`clipper start --log-format json`) are shown as text, or with --output json as they are.
    """
    manager = terminal.manager()
    if not manager.programs():
        raise ClipperException(f"Cluster {terminal.cluster} has no logs: start it with {terminal.command('start')}")
    shown = manager.log_lines(program, lines, follow_)
    try:
        for name, line in shown:
            mark = "" if program else f"{name} | "
            text = "\n".join(mark + each for each in readable(line).split("\n"))
            terminal.show({"program": name, "line": line}, text)
    except KeyboardInterrupt:
        return


def examine(
    terminal: Terminal,
    query_port: QueryPort = None,
    management_port: ManagementPort = None,
    rpc_port: RpcPort = None,
) -> None:
    """Check what Clipper needs of this machine, or of a Docker engine, and say what to do about what is missing.

    The ports are those that `clipper start` would take.
    """
    if terminal.kind is Kind.DOCKER:
        from clipper_admin import docker_doctor  # only who uses Docker loads it

        findings = docker_doctor.examine(_ports(FIRST_START, query_port, management_port, rpc_port))
    else:
        before = terminal.folder.read() or FIRST_START
        findings = doctor.examine(terminal.local_manager(), _ports(before, query_port, management_port, rpc_port))
    rows = [("ok" if each.ok else "PROBLEM", each.subject, each.finding) for each in findings]
    terminal.show([dataclasses.asdict(each) for each in findings], table(["", "CHECK", "FINDING"], rows))
    problems = [f"{each.subject}: {each.advice}" for each in findings if not each.ok]
    if problems:
        raise ClipperException("\n  ".join([f"{len(problems)} to see to:", *problems]))


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - flushed, to stay in order with the log lines


def quickstart_(terminal: Terminal) -> None:
    """Run the quickstart of the README for real: start, register, deploy, link, query, inspect, stop."""
    terminal.local_manager("quickstart")
    answer = quickstart.run(terminal.home, say=terminal.note if terminal.is_json else _say)
    terminal.show(answer)
    if (answer.get("output"), answer.get("default")) != (quickstart.EXPECTED, False):
        terminal.note(f"The answer should have been {quickstart.EXPECTED}, and not a default output")
        raise typer.Exit(FAILED)
