"""``clipper models | deploy | undeploy | scale | batching | rollback``."""

from __future__ import annotations

import enum
from collections import Counter
from typing import Annotated, Any, Final

import typer

from clipper_admin.cli_applications import application
from clipper_admin.cli_commands import add_command
from clipper_admin.cli_terminal import Terminal, table
from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers.python import deploy_python_closure
from clipper_admin.exceptions import ClipperException
from clipper_admin.names import canonical_input_type
from clipper_admin.target import load_target

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]


class Learning(enum.StrEnum):
    AIMD = "aimd"
    QUANTILE = "quantile"


def add_to(app: typer.Typer) -> None:
    add_command(app, "models", models, "clipper models", "clipper models --output json")
    add_command(
        app,
        "deploy",
        deploy,
        "clipper deploy sums:feature_sum --name sum-model --version 1 --input-type doubles --link hello-world",
        "clipper deploy shop.model:best.predict --name shop --version 2 --input-type floats --pkg scikit-learn",
    )
    add_command(app, "undeploy", undeploy, "clipper undeploy sum-model", "clipper undeploy sum-model 2")
    add_command(app, "scale", scale, "clipper scale sum-model 4", "clipper scale sum-model 0 --version 1")
    add_command(
        app,
        "batching",
        batching,
        "clipper batching sum-model",
        "clipper batching sum-model:1 --size 16",
        "clipper batching sum-model --size -1 --learn quantile --delay 500",
    )
    add_command(app, "rollback", rollback, "clipper rollback sum-model", "clipper rollback sum-model 3")


def models(terminal: Terminal) -> None:
    """List the registered versions of all models and their replicas."""
    with terminal.connected() as connection:
        found = _with_replicas(connection)
    rows = [
        (
            each["model_name"],
            each["model_version"] + (" (current)" if each["is_current_version"] else ""),
            each["input_type"],
            f"{each['connected_replicas']}/{each['replicas']}",
            ", ".join(each["labels"]),
        )
        for each in found
    ]
    terminal.show(found, table(["MODEL", "VERSION", "INPUT TYPE", "REPLICAS READY", "LABELS"], rows))


def _with_replicas(connection: ClipperConnection) -> list[dict[str, Any]]:
    ready = Counter(each["model_id"] for each in connection.get_all_model_replicas(verbose=True))
    return [
        {
            **each,
            "replicas": connection.get_num_replicas(each["model_name"], each["model_version"]),
            "connected_replicas": ready[f"{each['model_name']}:{each['model_version']}"],
        }
        for each in connection.get_all_models(verbose=True)
    ]


def deploy(
    terminal: Terminal,
    target: Annotated[str, typer.Argument(metavar="MODULE:FUNCTION", help="Found from the current directory.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    input_type: Annotated[str, typer.Option(help="integers, floats, doubles, bytes or strings.")],
    version: Annotated[str, typer.Option(help="Version of the model.")] = "1",
    link: Annotated[str | None, typer.Option(metavar="APP", help="Then link the model to this application.")] = None,
    pkg: Annotated[list[str] | None, typer.Option(help="Install a package for the model (repeatable).")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Keep a label with the version (repeatable).")] = None,
    replicas: Annotated[int, typer.Option(help="Processes that serve it.")] = 1,
    batch_size: Annotated[int, typer.Option(help="Most inputs in one call; -1 learns it.")] = -1,
    batching: Annotated[Learning, typer.Option(help="How the batch size is learned.")] = Learning.AIMD,
    batch_delay_micros: Annotated[int, typer.Option(help="Wait so long for more inputs; -1 learns it.")] = 0,
) -> None:
    """Deploy a Python function as a model version, which answers as soon as it is ready."""
    function = load_target(target)
    with terminal.connected() as connection:
        unlinked = link is not None and _check_link(connection, link, name, input_type)
        deploy_python_closure(
            connection,
            name,
            version,
            input_type,
            function,
            labels=label,
            num_replicas=replicas,
            batch_size=batch_size,
            pkgs_to_install=pkg,
            batching=batching.value,
            batch_delay_micros=batch_delay_micros,
        )
        if link is not None and unlinked:
            connection.link_model_to_app(link, name)
        terminal.show(connection.get_model_info(name, version))


def _check_link(connection: ClipperConnection, app_name: str, model_name: str, input_type: str) -> bool:
    """Whether the link is to be made still; raises, before anything is deployed, if it could not be."""
    app = application(connection, app_name)
    if app["input_type"] != canonical_input_type(input_type):
        raise ClipperException(
            f"Application {app_name!r} takes {app['input_type']}, not {canonical_input_type(input_type)}: "
            "deploy with that --input-type, or without --link"
        )
    if model_name in app["linked_models"]:
        return False
    if model_name in app["shadow_models"]:
        raise ClipperException(
            f"Model {model_name!r} is a shadow of application {app_name!r}: deploy without --link, and then "
            f"`clipper promote {app_name} {model_name}`, if it is to answer"
        )
    others = app["linked_models"]
    if others and app["selection_policy"] == "single":
        raise ClipperException(
            f"Application {app_name!r} is linked to model {others[0]!r}: `clipper unlink {app_name} {others[0]}` "
            f"first, let it have several with `clipper policy {app_name} hedge`, or deploy without --link"
        )
    return True


def undeploy(
    terminal: Terminal,
    model_name: ModelName,
    version: Annotated[str | None, typer.Argument(help="Of this version only; all versions if not given.")] = None,
) -> None:
    """Stop all replicas of a model, or of one version of it, and forget what was registered."""
    with terminal.connected() as connection:
        found = _versions(connection, model_name)
        if version:
            connection.stop_versioned_models({model_name: [version]})
        elif found:
            connection.stop_models([model_name])
        else:
            raise ClipperException(f"There is no model {model_name!r}: {terminal.command('models')} lists them")
    stopped = [version] if version else found
    text = f"Stopped {', '.join(f'{model_name}:{each}' for each in stopped)}"
    terminal.show({"model_name": model_name, "stopped": stopped}, text)


def _versions(connection: ClipperConnection, model_name: str) -> list[str]:
    """Those registered, and those that a deploy which was killed has left behind."""
    registered = [
        str(each["model_version"])
        for each in connection.get_all_models(verbose=True)
        if each["model_name"] == model_name
    ]
    left = connection.cm.get_running_versions(model_name)
    return registered + [each for each in left if each not in registered]


def scale(
    terminal: Terminal,
    model_name: ModelName,
    replicas: Annotated[int, typer.Argument(min=0, help="How many there shall be.")],
    version: Annotated[str | None, typer.Option(help="Of this version; the current one if not given.")] = None,
) -> None:
    """Start or stop replicas of a model version."""
    with terminal.connected() as connection:
        version = version or connection.get_current_model_version(model_name)
        connection.set_num_replicas(model_name, replicas, version)
        text = f"Model {model_name}:{version} has {replicas} replicas"
        terminal.show({"model_name": model_name, "model_version": version, "replicas": replicas}, text)


def batching(
    terminal: Terminal,
    model: Annotated[str, typer.Argument(metavar="MODEL[:VERSION]", help="Of the current version if none is given.")],
    size: Annotated[int | None, typer.Option(help="Most inputs in one call; 1: no batches, -1: learned.")] = None,
    learn: Annotated[Learning | None, typer.Option(help="How the size is learned.")] = None,
    delay: Annotated[
        int | None, typer.Option(metavar="MICROS", help="Wait so long for more inputs; 0: not, -1: learned.")
    ] = None,
) -> None:
    """Show how the queries of a model are put into batches, or change it at once. What is not given stays."""
    name, colon, version = model.partition(":")
    if colon and not version:
        raise ClipperException(f"{model!r} has no version after ':': name one, or write {name} for the current one")
    with terminal.connected() as connection:
        version = version or connection.get_current_model_version(name)
        if (size, learn, delay) != (None, None, None):
            connection.set_batching(name, version, size, learn and learn.value, delay)
        info = connection.get_model_info(name, version)
    if info is None:
        raise ClipperException(f"There is no model {name}:{version}: {terminal.command('models')} lists them")
    settings = {each: info[each] for each in ("model_name", "model_version", *_BATCHING)}
    terminal.show(
        settings, table(["MODEL", "VERSION", "SIZE", "LEARNED BY", "DELAY (us)"], [list(settings.values())])
    )


_BATCHING: Final = ("batch_size", "batching", "batch_delay_micros")


def rollback(
    terminal: Terminal,
    model_name: ModelName,
    version: Annotated[str | None, typer.Argument(help="The one registered before the current if not given.")] = None,
) -> None:
    """Make an earlier version of a model the current one, at once."""
    with terminal.connected() as connection:
        found = [each for each in connection.get_all_models(verbose=True) if each["model_name"] == model_name]
        version = version or _previous(model_name, found)
        replicas = 1 if _is_stopped(connection, model_name, version, found) else None
        connection.set_model_version(model_name, version, replicas)
    text = f"Model {model_name} is at version {version}"
    terminal.show({"model_name": model_name, "current_version": version}, text)


def _previous(model_name: str, found: list[dict[str, Any]]) -> str:
    """The version before the current one; ``found`` is in the order of registration."""
    if not found:
        raise ClipperException(f"No versions of model {model_name} registered with Clipper")
    versions = [str(each["model_version"]) for each in found]
    position = next((index for index, each in enumerate(found) if each["is_current_version"]), 0)
    if position == 0:
        raise ClipperException(
            f"No version of {model_name} was registered before the current one: name one of {', '.join(versions)}"
        )
    return versions[position - 1]


def _is_stopped(connection: ClipperConnection, name: str, version: str, found: list[dict[str, Any]]) -> bool:
    """Whether the version has containers of ours, none of which runs."""
    ours = any(each["model_version"] == version and each["container_name"] != "NO_CONTAINER" for each in found)
    return ours and connection.get_num_replicas(name, version) == 0
