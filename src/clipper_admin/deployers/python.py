"""Deploys any Python function of a batch of inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers import endpoint, framework
from clipper_admin.deployers.closure import check_function
from clipper_admin.deployers.framework import Extras, Options, Served
from clipper_admin.names import version_text

PredictFunction = Callable[[Any], Sequence[Any]]


def create_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    input_type: str,
    func: PredictFunction,
    default_output: str = "None",
    version: str | int = 1,
    slo_micros: int = 3_000_000,
    labels: Sequence[str] | None = None,
    registry: str | None = None,
    base_image: str = "default",
    num_replicas: int = 1,
    batch_size: int = -1,
    pkgs_to_install: Sequence[str] | None = None,
    batching: str = "aimd",
    batch_delay_micros: int = 0,
    **extras: Unpack[Extras],
) -> None:
    """Registers an application, deploys ``func`` as a model of the same name and links them; all or nothing.

    The arguments are those of ``register_application`` and ``deploy_python_closure``.
    """
    clipper_conn.check_deployable(
        name, version, input_type, num_replicas, batch_size, labels, batching, batch_delay_micros
    )
    check_function(func)

    def deploy() -> None:
        deploy_python_closure(
            clipper_conn,
            name,
            version,
            input_type,
            func,
            base_image,
            labels,
            registry,
            num_replicas,
            batch_size,
            pkgs_to_install,
            batching,
            batch_delay_micros,
            **extras,
        )

    endpoint.create(clipper_conn, name, version_text(version), input_type, default_output, slo_micros, deploy)


def deploy_python_closure(
    clipper_conn: ClipperConnection,
    name: str,
    version: str | int,
    input_type: str,
    func: PredictFunction,
    base_image: str = "default",
    labels: Sequence[str] | None = None,
    registry: str | None = None,
    num_replicas: int = 1,
    batch_size: int = -1,
    pkgs_to_install: Sequence[str] | None = None,
    batching: str = "aimd",
    batch_delay_micros: int = 0,
    **extras: Unpack[Extras],
) -> None:
    """Deploys ``func`` and makes it the current version of model ``name`` once it is ready.

    Args:
        clipper_conn: a connected ClipperConnection.
        name: of the model: lower case letters, digits and '-'.
        version: of the model, by the same rule; an int is fine.
        input_type: integers, floats, doubles, bytes or strings.
        func: takes a batch (list-like, a 2-D array where lengths agree), returns a list with one output each.
            It may use the modules of the caller; they are carried along.
        base_image: for managers that run images.
        labels: free text kept with the version.
        registry: where images are pushed, for managers that do.
        num_replicas: processes that serve the version.
        batch_size: most inputs in one call; -1 learns it from the latencies seen.
        pkgs_to_install: packages for an environment of the model's own; None is the one of this session.
        batching: how the size is learned: ``aimd`` or ``quantile``.
        batch_delay_micros: microseconds that a free replica waits for more queries; 0 none, -1 learned.
        extras: ``sample``, ``per_item``, ``threads``, ``memory_bytes``, ``gpus``, ``requirements`` and
            ``python_version``: see ``clipper_admin.deployers.framework.Extras``.

    Raises:
        ClipperException: what failed, with the model's own traceback if it came so far. Nothing is left running.
    """
    options: Options = {
        **extras,
        "base_image": base_image,
        "labels": labels,
        "registry": registry,
        "num_replicas": num_replicas,
        "batch_size": batch_size,
        "pkgs_to_install": pkgs_to_install,
        "batching": batching,
        "batch_delay_micros": batch_delay_micros,
    }
    served = Served("", func, lambda directory: None, ("inputs",))
    framework.deploy(clipper_conn, name, version, input_type, served, **options)
